import type { Socket } from "node:net";
import { dirname } from "node:path";
import { Registry } from "prom-client";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { MINUTE, SECOND } from "../base/time.ts";
import { giveToGroup } from "./group.ts";
import { createHub } from "./hub.ts";
import { createMeter } from "./meter.ts";
import { preparePlace } from "./place.ts";
import { type IpcHandlers, type Limits, Session } from "./session.ts";

/** Further clients are turned away at once. */
export const MAX_IPC_CLIENTS = 32;

/** Takes away all but 0660: a socket has these rights from the moment it is there. */
const UMASK = 0o117;

export interface IpcOptions extends Partial<Limits> {
	/** Path of the unix socket; made 0660. */
	readonly socket: string;
	/** Whose members may speak to the agent; the process's own when left out. A folder that was there before keeps its own. */
	readonly group?: string | undefined;
	readonly handlers: IpcHandlers;
	/** Takes the metrics of the socket. */
	readonly registry?: Registry;
	readonly log: Log;
}

export interface IpcServer {
	close(): Promise<void>;
}

/**
 * Answers the UI and the CLI on a unix socket: one line of JSON a request, one a reply (src/wire/ipc.ts).
 * Throws PORT_TAKEN when an agent already answers there, CONFIG_INVALID when the path cannot hold a socket or there is no
 * such group.
 */
export async function startIpc(options: IpcOptions): Promise<IpcServer> {
	const { socket: path, group, handlers, log } = options;
	const meter = createMeter(options.registry ?? new Registry());
	const limits: Limits = {
		patience: options.patience ?? 30 * SECOND,
		silence: options.silence ?? MINUTE,
		rate: options.rate ?? 100,
	};
	const isNewFolder = await preparePlace(path);
	const hub = createHub();
	hub.config.maxConnections = MAX_IPC_CLIENTS;
	const sessions = new Map<Socket, Session>();
	const close = () =>
		new Promise<void>((resolve) => {
			const { server } = hub.server;
			if (server === false || !server.listening) return resolve();
			server.once("close", () => resolve());
			hub.server.stop();
			for (const session of sessions.values()) session.close();
		});
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
			const parts = { socket, handlers, send, meter, log, limits };
			sessions.set(socket, new Session(parts));
			socket.once("close", () => sessions.delete(socket));
		});
		hub.server.on("data", (bytes, socket) =>
			sessions.get(socket)?.receive(bytes),
		);
		// Listening on a path happens within this call.
		const before = process.umask(UMASK);
		try {
			hub.server.start();
		} finally {
			process.umask(before);
		}
		const { server } = hub.server;
		if (server !== false)
			server.on("drop", () => meter.refusals.inc({ reason: "too-many" }));
	});
	try {
		if (group !== undefined)
			await giveToGroup(group, [path, ...(isNewFolder ? [dirname(path)] : [])]);
	} catch (error) {
		await close();
		throw error;
	}
	return { close };
}
