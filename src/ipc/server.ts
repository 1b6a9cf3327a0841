import { chmod } from "node:fs/promises";
import type { Socket } from "node:net";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { createHub } from "./hub.ts";
import { preparePlace } from "./place.ts";
import { type IpcHandlers, Session } from "./session.ts";

/** Further clients are turned away at once. */
export const MAX_IPC_CLIENTS = 32;

export interface IpcOptions {
	/** Path of the unix socket; made 0660. */
	readonly socket: string;
	readonly handlers: IpcHandlers;
	readonly log: Log;
	/** How long a handler may work, and a client may take over reading its reply. */
	readonly patience?: Millis;
}

export interface IpcServer {
	close(): Promise<void>;
}

/**
 * Answers the UI and the CLI on a unix socket: one line of JSON a request, one a reply (src/wire/ipc.ts).
 * Throws PORT_TAKEN when an agent already answers there, CONFIG_INVALID when the path cannot hold a socket.
 */
export async function startIpc(options: IpcOptions): Promise<IpcServer> {
	const { socket: path, handlers, log, patience = 30 * SECOND } = options;
	await preparePlace(path);
	const hub = createHub();
	hub.config.maxConnections = MAX_IPC_CLIENTS;
	const sessions = new Map<Socket, Session>();
	await new Promise<void>((resolve, reject) => {
		hub.serve(path, resolve);
		hub.server.on("error", (error) => {
			log.debug({ err: error }, "ipc connection error");
			reject(
				new LarderError(
					"CONFIG_INVALID",
					`ipc.socket: cannot listen at ${path}`,
					{ cause: error },
				),
			);
		});
		hub.server.on("connect", (socket) => {
			const send = (line: string) => hub.server.emit(socket, line);
			sessions.set(socket, new Session(socket, handlers, send, log, patience));
			socket.once("close", () => sessions.delete(socket));
		});
		hub.server.on("data", (bytes, socket) =>
			sessions.get(socket)?.receive(bytes),
		);
		hub.server.start();
	});
	await chmod(path, 0o660);
	return {
		close: () =>
			new Promise((resolve) => {
				const { server } = hub.server;
				if (server === false || !server.listening) return resolve();
				server.once("close", () => resolve());
				hub.server.stop();
				for (const session of sessions.values()) session.close();
			}),
	};
}
