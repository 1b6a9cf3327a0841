import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { systemCode } from "../base/errors.ts";

/** Below those that Linux hands out by itself: no socket of anybody's comes by chance to sit on one that was just found free. */
const FIRST = 10_000;
const COUNT = 20_000;

/** Where to look next. One for the whole process, so that no port is given twice. */
let cursor = Math.floor(Math.random() * COUNT);

/** A TCP port of loopback that nothing listens on, and that this process gives to nobody else. */
export function freeTcpPort(): Promise<number> {
	return firstFree(async (port) => {
		const server = createServer();
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, "127.0.0.1", resolve);
		});
		await new Promise<void>((resolve) => server.close(() => resolve()));
	});
}

/** A UDP port of loopback, likewise. */
export function freeUdpPort(): Promise<number> {
	return firstFree(async (port) => {
		const socket = createSocket("udp4");
		await new Promise<void>((resolve, reject) => {
			socket.once("error", reject);
			socket.bind(port, "127.0.0.1", resolve);
		});
		await new Promise<void>((resolve) => socket.close(() => resolve()));
	});
}

/** @param tryIt takes the port and lets it go again; rejects with EADDRINUSE when it is taken */
async function firstFree(
	tryIt: (port: number) => Promise<void>,
): Promise<number> {
	for (;;) {
		const port = FIRST + cursor;
		cursor = (cursor + 1) % COUNT;
		try {
			await tryIt(port);
			return port;
		} catch (error) {
			if (systemCode(error) !== "EADDRINUSE") throw error;
		}
	}
}
