import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { monotonic } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { inspect, type Package } from "../headend/package/inspect.ts";
import { formatRemarks } from "../headend/package/report.ts";
import type { TitleId } from "../wire/ids.ts";

export interface Played {
	bytes: Bytes;
	/** From the request of the first file to its first byte. */
	firstByteMs: Millis;
	/** Bytes that differ from the source, missing and surplus ones included. */
	mismatches: number;
}

/** What a source is made of. Throws PACKAGE_INVALID with every fault. */
export async function look(
	source: string,
	signal: AbortSignal,
): Promise<Package> {
	const found = await inspect(source, signal);
	if (found.ok) return found.value;
	throw new LarderError(
		"PACKAGE_INVALID",
		`${source} cannot be published:\n${formatRemarks(found.faults)}`,
	);
}

/**
 * Plays a whole title through a box's gateway, file by file as a player would, and compares every byte with the source.
 * Throws TITLE_UNAVAILABLE when the gateway refuses a file.
 * @param source what was published: a folder, or one file
 */
export async function playAll(
	gateway: string,
	id: TitleId,
	source: string,
	onProgress: (done: Bytes, total: Bytes) => void = () => undefined,
	signal: AbortSignal = new AbortController().signal,
): Promise<Played> {
	const { root, files, size } = await look(source, signal);
	const played: Played = { bytes: 0, firstByteMs: 0, mismatches: 0 };
	for (const { path } of files) {
		const began = monotonic();
		const url = `${gateway}/titles/${id}/${path.split("/").map(encodeURIComponent).join("/")}`;
		const response = await fetch(url, { signal });
		if (!response.ok || response.body === null) {
			const why = `${path}: ${response.status} ${await response.text()}`;
			throw new LarderError("TITLE_UNAVAILABLE", why);
		}
		await using original = await open(join(root, path));
		let at = 0;
		for await (const chunk of response.body) {
			if (played.bytes === 0)
				played.firstByteMs = Math.round(monotonic() - began);
			played.mismatches += await compare(original, at, chunk);
			played.bytes += chunk.length;
			at += chunk.length;
			onProgress(played.bytes, size);
		}
		const { size: whole } = await original.stat();
		played.mismatches += Math.max(0, whole - at);
	}
	return played;
}

/** Bytes of `got` that are not what the file has at `at`. */
async function compare(
	file: FileHandle,
	at: Bytes,
	got: Uint8Array,
): Promise<number> {
	const want = Buffer.alloc(got.length);
	const { bytesRead } = await file.read(want, 0, got.length, at);
	if (bytesRead === got.length && want.equals(got)) return 0;
	let wrong = got.length - bytesRead;
	for (let i = 0; i < bytesRead; i++) if (want[i] !== got[i]) wrong++;
	return wrong;
}
