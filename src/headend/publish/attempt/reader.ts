import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { LarderError, systemCode } from "../../../base/errors.ts";
import type { Bytes } from "../../../base/units.ts";
import { type SourceFile, sameFile, sourceFile } from "../../package/folder.ts";

interface Placed {
	readonly file: SourceFile;
	readonly offset: Bytes;
}

/**
 * Reads the byte space of a package: its files end to end. One file is open at a time.
 * Every file is held against what it was when the package was inspected, before its first byte and after its last:
 * a file that has changed throws PACKAGE_CHANGED.
 */
export class SpaceReader {
	private readonly root: string;
	private readonly placed: readonly Placed[];
	private index = 0;
	private current: (Placed & { readonly handle: FileHandle }) | undefined;

	constructor(root: string, files: readonly SourceFile[]) {
		this.root = root;
		const placed: Placed[] = [];
		let offset = 0;
		for (const file of files) {
			placed.push({ file, offset });
			offset += file.size;
		}
		this.placed = placed;
	}

	/** Fills `target` with the bytes from `offset` on. The byte space must reach that far. */
	async fill(offset: Bytes, target: Buffer): Promise<void> {
		for (let done = 0; done < target.length; ) {
			const at = offset + done;
			const { file, offset: start, handle } = await this.openAt(at);
			const length = Math.min(target.length - done, start + file.size - at);
			const { bytesRead } = await handle.read(target, done, length, at - start);
			if (bytesRead === 0) throw changed(file, "it became shorter");
			done += bytesRead;
		}
	}

	/** Ends with a last look at the file that was being read. */
	async finish(): Promise<void> {
		const { current } = this;
		if (current === undefined) return;
		this.current = undefined;
		try {
			await check(current.file, current.handle);
		} finally {
			await current.handle.close();
		}
	}

	/** Closes without a last look. */
	async close(): Promise<void> {
		const { current } = this;
		this.current = undefined;
		await current?.handle.close();
	}

	/** Files are mostly read in order, so the next one is near the last one. */
	private seek(at: Bytes): Placed | undefined {
		const { placed } = this;
		while ((placed[this.index]?.offset ?? 0) > at) this.index--;
		while ((placed[this.index + 1]?.offset ?? Number.POSITIVE_INFINITY) <= at)
			this.index++;
		return placed[this.index];
	}

	private async openAt(
		at: Bytes,
	): Promise<Placed & { readonly handle: FileHandle }> {
		const { current } = this;
		if (current !== undefined && holds(current, at)) return current;
		await this.finish();
		const placed = this.seek(at);
		if (placed === undefined || !holds(placed, at))
			throw new RangeError(`no file holds byte ${at}`);
		let handle: FileHandle;
		try {
			handle = await open(join(this.root, placed.file.path), "r");
		} catch (error) {
			if (systemCode(error) !== "ENOENT") throw error;
			throw changed(placed.file, "it is gone");
		}
		const opened = { ...placed, handle };
		this.current = opened;
		await check(placed.file, handle);
		return opened;
	}
}

function holds({ file, offset }: Placed, at: Bytes): boolean {
	return at >= offset && at < offset + file.size;
}

async function check(file: SourceFile, handle: FileHandle): Promise<void> {
	const now = sourceFile(file.path, await handle.stat());
	if (!sameFile(file, now)) throw changed(file, "it is not what it was");
}

function changed(file: SourceFile, how: string): LarderError {
	return new LarderError("PACKAGE_CHANGED", `${file.path}: ${how}`);
}
