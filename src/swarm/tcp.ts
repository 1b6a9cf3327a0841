import { connect, createServer, type Server, type Socket } from "node:net";
import SecretStream, { type NoiseStream } from "@hyperswarm/secret-stream";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";

/** Noise IK and the membership hello are small; a longer frame before admission is an attack on memory. */
const MAX_EARLY_FRAME = 96 * 1024;
const HANDSHAKE_TIMEOUT = 3 * SECOND;
const MAX_SOCKETS = 256;
const MAX_SOCKETS_PER_ADDRESS = 128;
const KEEP_ALIVE = 5 * SECOND;

/** A connection whose keys are agreed on and whose frames stay small until `release` is called. */
export interface TcpConnection {
	readonly stream: NoiseStream;
	/** The other side is admitted: frames may be large from now on. */
	readonly release: () => void;
}

export interface TcpListener {
	readonly port: number;
	close(): Promise<void>;
}

/** Takes bulk connections: Noise, pattern IK, so that only who knows this box's key gets through. */
export async function listenTcp(
	host: string,
	port: number,
	keyPair: KeyPair,
	onConnection: (connection: TcpConnection) => void,
): Promise<TcpListener> {
	const sockets = new Set<Socket>();
	const server = createServer({ noDelay: true }, (socket) => {
		const sameAddress = [...sockets].filter(
			(other) => other.remoteAddress === socket.remoteAddress,
		).length;
		if (sockets.size >= MAX_SOCKETS || sameAddress >= MAX_SOCKETS_PER_ADDRESS) {
			socket.destroy();
			return;
		}
		sockets.add(socket);
		socket.on("close", () => sockets.delete(socket));
		secure(socket, false, keyPair, undefined).then(onConnection, () => {
			// A stranger that could not shake hands; there is nobody to tell.
			socket.destroy();
		});
	});
	await listening(server, host, port);
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

/** Dials a neighbour's listener and proves that it has the admitted key. Rejects when it does not open in time. */
export async function dialTcp(
	host: string,
	port: number,
	keyPair: KeyPair,
	remotePublicKey: Uint8Array,
): Promise<TcpConnection> {
	const socket = connect({ host, port, noDelay: true });
	try {
		return await secure(socket, true, keyPair, remotePublicKey);
	} catch (error) {
		socket.destroy();
		throw error;
	}
}

function secure(
	socket: Socket,
	isInitiator: boolean,
	keyPair: KeyPair,
	remotePublicKey: Uint8Array | undefined,
): Promise<TcpConnection> {
	return new Promise((resolve, reject) => {
		const timer = setTimeout(
			() => reject(new Error("no handshake in time")),
			HANDSHAKE_TIMEOUT,
		);
		// First among the listeners: it sees each length before the stream makes room for the frame.
		const release = guardFrames(socket, () => stream.destroy());
		const stream = new SecretStream(isInitiator, socket, {
			pattern: "IK",
			keyPair: { publicKey: keyPair.publicKey, secretKey: secretKey(keyPair) },
			...(remotePublicKey && { remotePublicKey }),
			keepAlive: KEEP_ALIVE,
		});
		stream.on("error", () => undefined);
		stream.on("close", () => {
			clearTimeout(timer);
			reject(new Error("the connection ended during the handshake"));
		});
		stream.opened
			.then((opened) => {
				clearTimeout(timer);
				if (!opened) throw new Error("the handshake failed");
				stream.setTimeout(3 * KEEP_ALIVE);
				resolve({ stream, release });
			})
			.catch(reject);
	});
}

/** Follows the 3-byte little-endian lengths of the frames and calls `onTooLong` at the first that is. */
function guardFrames(socket: Socket, onTooLong: () => void): () => void {
	let header = 0;
	let length = 0;
	let left = 0;
	const onData = (data: Buffer) => {
		for (let at = 0; at < data.length; ) {
			if (left > 0) {
				const step = Math.min(left, data.length - at);
				left -= step;
				at += step;
				continue;
			}
			length += (data[at++] ?? 0) * 256 ** header;
			if (++header < 3) continue;
			if (length > MAX_EARLY_FRAME) {
				socket.off("data", onData);
				onTooLong();
				return;
			}
			left = length;
			header = 0;
			length = 0;
		}
	};
	socket.on("data", onData);
	return () => socket.off("data", onData);
}

function listening(server: Server, host: string, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", (cause) => {
			reject(
				new LarderError("PORT_TAKEN", `TCP ${host}:${port} cannot be opened`, {
					cause,
				}),
			);
		});
		server.listen(port, host, resolve);
	});
}
