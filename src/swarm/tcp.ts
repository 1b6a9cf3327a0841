import { connect, createServer, type Server, type Socket } from "node:net";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";
import { GuardedStream } from "./guard.ts";
import { portError } from "./port.ts";

const HANDSHAKE_TIMEOUT: Millis = 3 * SECOND;
const KEEP_ALIVE: Millis = 5 * SECOND;

export interface TcpPorts {
	/** Somebody dialled; nothing of it was read yet. */
	readonly onSocket: (socket: Socket) => void;
	/** It did not shake hands, or not in time. */
	readonly onStranger: (socket: Socket, cause: unknown) => void;
	readonly onStream: (stream: GuardedStream) => void;
	readonly log: Log;
}

export interface TcpListener {
	readonly port: number;
	close(): Promise<void>;
}

/**
 * Takes bulk connections: Noise, pattern IK, so that only who knows this box's key gets through. How many may be open is for
 * `onSocket` to say. Throws PORT_TAKEN or CONFIG_INVALID.
 */
export async function listenTcp(
	host: string,
	port: number,
	keyPair: KeyPair,
	{ onSocket, onStranger, onStream, log }: TcpPorts,
): Promise<TcpListener> {
	const sockets = new Set<Socket>();
	const server = createServer({ noDelay: true }, (socket) => {
		sockets.add(socket);
		socket.on("close", () => sockets.delete(socket));
		onSocket(socket);
		secure(socket, false, keyPair).then(onStream, (cause: unknown) =>
			onStranger(socket, cause),
		);
	});
	await listening(server, host, port);
	// Running out of descriptors shows here; those connected stay.
	server.on("error", (err) => log.warn({ err }, "taking TCP failed"));
	const address = server.address();
	return {
		port: typeof address === "object" && address ? address.port : port,
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				for (const socket of sockets) socket.destroy();
			}),
	};
}

/**
 * Dials a neighbour's listener and proves that it has the admitted key. Rejects when it does not open in time.
 * @param from the address of this machine to come from
 */
export function dialTcp(
	host: string,
	port: number,
	keyPair: KeyPair,
	remotePublicKey: Uint8Array,
	from = "0.0.0.0",
): Promise<GuardedStream> {
	const socket = connect({ host, port, localAddress: from, noDelay: true });
	return secure(socket, true, keyPair, remotePublicKey);
}

/** Shakes hands in time, or destroys the socket and rejects with the reason. */
async function secure(
	socket: Socket,
	isInitiator: boolean,
	keyPair: KeyPair,
	remotePublicKey?: Uint8Array,
): Promise<GuardedStream> {
	const stream = new GuardedStream(isInitiator, socket, {
		pattern: "IK",
		keyPair: { publicKey: keyPair.publicKey, secretKey: secretKey(keyPair) },
		...(remotePublicKey && { remotePublicKey }),
		keepAlive: KEEP_ALIVE,
	});
	let cause: unknown;
	stream.on("error", (error) => {
		cause = error;
	});
	const timer = setTimeout(() => {
		stream.destroy(new Error(`no handshake within ${HANDSHAKE_TIMEOUT} ms`));
	}, HANDSHAKE_TIMEOUT);
	const opened = await stream.opened;
	clearTimeout(timer);
	if (!opened) throw new Error("the handshake failed", { cause });
	stream.setTimeout(3 * KEEP_ALIVE);
	return stream;
}

function listening(server: Server, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		const onError = (cause: unknown) =>
			reject(portError("TCP", host, port, cause));
		server.once("error", onError);
		server.listen(port, host, () => {
			server.off("error", onError);
			resolve();
		});
	});
}
