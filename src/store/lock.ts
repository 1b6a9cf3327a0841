import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { type ErrorCode, LarderError, systemCode } from "../base/errors.ts";

/** Holding it means being the only process that writes to a folder. */
export interface Lock {
	close(): Promise<void>;
}

/**
 * Takes a folder for this process. The lock is an abstract Unix socket named after the folder's real path: the kernel
 * hands it to one process and takes it back when that process dies, so it can never be left behind.
 * @param busy the code that is thrown when another process has it
 */
export async function lockFolder(dir: string, busy: ErrorCode): Promise<Lock> {
	const path = await realpath(dir);
	const server = createServer((socket) => socket.destroy());
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(addressOf(path), resolve);
		});
	} catch (cause) {
		if (systemCode(cause) !== "EADDRINUSE") throw cause;
		// Without its cause, which a NUL byte stands in: the name of the socket.
		throw new LarderError(busy, `another process works on ${path}`);
	}
	server.unref();
	return {
		close: () =>
			new Promise((resolve, reject) => {
				server.close((error) =>
					error === undefined ? resolve() : reject(error),
				);
			}),
	};
}

/** Whether a process has taken a folder. False for a folder that is not there. */
export async function isLocked(dir: string): Promise<boolean> {
	const path = await realpath(dir).catch(() => undefined);
	if (path === undefined) return false;
	return await new Promise((resolve) => {
		const socket = connect(addressOf(path));
		socket.once("error", () => resolve(false));
		socket.once("connect", () => {
			socket.destroy();
			resolve(true);
		});
	});
}

function addressOf(path: string): string {
	const name = createHash("sha256").update(path).digest("hex").slice(0, 32);
	return `\0larder-${name}`;
}
