import type { FileHandle } from "node:fs/promises";
import type { Bytes } from "../../base/units.ts";

/** What matters of an MP4 file (ISO/IEC 14496-12). */
export interface Movie {
	/** Seconds; 0 when the file does not say. */
	readonly duration: number;
	/** The index lies behind the media, so that a player must read the end first. */
	readonly indexLast: boolean;
}

interface Box {
	readonly type: string;
	/** Where its content starts. */
	readonly start: Bytes;
	readonly end: Bytes;
}

/** The boxes that a file may start with. */
const FIRST = /^(ftyp|styp|moov|mdat|free|skip|wide)$/;

/** Thrown by `readMovie`: a message about the file for a person. */
export class MovieBroken extends Error {
	override readonly name = "MovieBroken";
}

/** Reads the boxes of an MP4 file of `size` bytes; its media is skipped over. Throws MovieBroken. */
export async function readMovie(
	file: FileHandle,
	size: Bytes,
	signal: AbortSignal,
): Promise<Movie> {
	let moov: Box | undefined;
	let media = false;
	let indexLast = false;
	for await (const box of boxes(file, 0, size)) {
		signal.throwIfAborted();
		if (box.type === "moov" && moov === undefined) {
			moov = box;
			indexLast = media;
		} else if (box.type === "mdat") {
			media = true;
		}
	}
	if (moov === undefined) throw new MovieBroken("it has no index (moov box)");
	if (!media) throw new MovieBroken("it has no media (mdat box)");
	return { duration: await durationOf(file, moov), indexLast };
}

async function durationOf(file: FileHandle, moov: Box): Promise<number> {
	let timescale = 0;
	let ticks = 0;
	for await (const box of boxes(file, moov.start, moov.end)) {
		if (box.type === "mvhd") {
			const header = await content(file, box, 32);
			const wide = header.readUInt8(0) === 1;
			timescale = header.readUInt32BE(wide ? 20 : 12);
			const own = duration(header, wide, wide ? 24 : 16);
			ticks = Math.max(ticks, own);
		} else if (box.type === "mvex") {
			for await (const inner of boxes(file, box.start, box.end)) {
				if (inner.type !== "mehd") continue;
				const header = await content(file, inner, 12);
				const own = duration(header, header.readUInt8(0) === 1, 4);
				ticks = Math.max(ticks, own);
			}
		}
	}
	return timescale === 0 ? 0 : ticks / timescale;
}

/** A duration field; all ones mean that it is not known. */
function duration(header: Buffer, wide: boolean, at: number): number {
	if (!wide) {
		const ticks = header.readUInt32BE(at);
		return ticks === 0xffff_ffff ? 0 : ticks;
	}
	const ticks = header.readBigUInt64BE(at);
	return ticks === 0xffff_ffff_ffff_ffffn ? 0 : Number(ticks);
}

async function* boxes(
	file: FileHandle,
	from: Bytes,
	to: Bytes,
): AsyncGenerator<Box> {
	const header = Buffer.alloc(16);
	for (let at = from; at < to; ) {
		const { bytesRead } = await file.read(header, 0, Math.min(16, to - at), at);
		if (bytesRead < 8) throw new MovieBroken("it is cut short");
		const type = header.toString("latin1", 4, 8);
		const short = header.readUInt32BE(0);
		const wide = short === 1 && bytesRead === 16;
		const length =
			short === 0 ? to - at : wide ? Number(header.readBigUInt64BE(8)) : short;
		const start = at + (wide ? 16 : 8);
		if (!/^[\x20-\x7e\xa9]{4}$/.test(type) || at + length < start) {
			throw new MovieBroken(
				at === 0 ? "it is not an MP4 file" : `it is damaged at byte ${at}`,
			);
		}
		if (at === 0 && !FIRST.test(type))
			throw new MovieBroken("it is not an MP4 file");
		if (at + length > to) {
			throw new MovieBroken(
				`it is cut short: its ${type} box ends at byte ${at + length}, the file at ${to}`,
			);
		}
		yield { type, start, end: at + length };
		at += length;
	}
}

/** The first `length` bytes of a box, padded with zeros. */
async function content(
	file: FileHandle,
	box: Box,
	length: number,
): Promise<Buffer> {
	const bytes = Buffer.alloc(length);
	await file.read(bytes, 0, Math.min(length, box.end - box.start), box.start);
	return bytes;
}
