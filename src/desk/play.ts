import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { monotonic } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { readManifest } from "../content/manifest.ts";
import type { TitleId } from "../wire/ids.ts";

export interface Played {
	bytes: Bytes;
	/** From the request of the first file to its first byte. */
	firstByteMs: Millis;
	/** The longest that the player waited for anything, the first byte included. */
	longestWaitMs: Millis;
	/** Bytes that differ from the source, missing and surplus ones included. */
	mismatches: number;
}

/**
 * Plays a whole title through a box's gateway, file by file as a player would, and compares every byte with the source.
 * @param source what was published: a folder, or one file
 */
export async function playAll(
	gateway: string,
	originDir: string,
	id: TitleId,
	source: string,
	onProgress: (done: Bytes, total: Bytes) => void = () => undefined,
): Promise<Played> {
	const read = readManifest(
		id,
		await readFile(join(originDir, id, "manifest")),
	);
	if (!read.ok) throw new LarderError("MANIFEST_INVALID", read.detail);
	const isFolder = (await stat(source)).isDirectory();
	const played: Played = {
		bytes: 0,
		firstByteMs: 0,
		longestWaitMs: 0,
		mismatches: 0,
	};
	for (const file of read.value.files) {
		const path = isFolder ? join(source, file.path) : source;
		const url = `${gateway}/titles/${id}/${file.path.split("/").map(encodeURIComponent).join("/")}`;
		const started = monotonic();
		let asked = started;
		const response = await fetch(url);
		if (!response.ok || response.body === null) {
			const why = await response.text();
			throw new LarderError(
				"TITLE_UNAVAILABLE",
				`${file.path}: ${response.status} ${why}`,
			);
		}
		const expected = createReadStream(path, { highWaterMark: 1 << 20 })[
			Symbol.asyncIterator
		]();
		let have = Buffer.alloc(0);
		for await (const chunk of response.body) {
			const waited = Math.round(monotonic() - asked);
			played.longestWaitMs = Math.max(played.longestWaitMs, waited);
			if (played.bytes === 0)
				played.firstByteMs = Math.round(monotonic() - started);
			played.bytes += chunk.length;
			while (have.length < chunk.length) {
				const next = await expected.next();
				if (next.done) break;
				have = Buffer.concat([have, next.value as Buffer]);
			}
			played.mismatches += differing(chunk, have.subarray(0, chunk.length));
			have = have.subarray(chunk.length);
			onProgress(played.bytes, read.value.size);
			asked = monotonic();
		}
		for await (const rest of { [Symbol.asyncIterator]: () => expected }) {
			have = Buffer.concat([have, rest as Buffer]);
		}
		played.mismatches += have.length;
	}
	return played;
}

function differing(a: Uint8Array, b: Uint8Array): number {
	if (Buffer.compare(a, b) === 0) return 0;
	let count = Math.abs(a.length - b.length);
	for (let i = 0; i < Math.min(a.length, b.length); i++)
		if (a[i] !== b[i]) count++;
	return count;
}
