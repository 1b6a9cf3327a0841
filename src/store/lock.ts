import { createHash } from "node:crypto";
import { realpath } from "node:fs/promises";
import { createServer } from "node:net";
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
	const name = createHash("sha256").update(path).digest("hex").slice(0, 32);
	const server = createServer((socket) => socket.destroy());
	try {
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(`\0larder-${name}`, resolve);
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
