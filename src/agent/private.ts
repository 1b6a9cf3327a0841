import { mkdir, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { LarderError } from "../base/errors.ts";

/** Writes what only the agent may read (mode 0600), whole or not at all. Throws STORE_UNUSABLE. */
export async function writePrivate(
	path: string,
	bytes: string | Uint8Array,
): Promise<void> {
	const part = `${path}.part`;
	try {
		await mkdir(dirname(path), { recursive: true, mode: 0o700 });
		await using file = await open(part, "w", 0o600);
		// What a power cut left behind has its own mode.
		await file.chmod(0o600);
		await file.writeFile(bytes);
		await file.sync();
		await rename(part, path);
		await using folder = await open(dirname(path), "r");
		await folder.sync();
	} catch (cause) {
		throw new LarderError("STORE_UNUSABLE", `${path} cannot be written`, {
			cause,
		});
	}
}
