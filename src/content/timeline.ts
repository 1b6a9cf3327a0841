import { SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import type { Manifest, TitleFile } from "./manifest.ts";

/** What plays at so many bits a second is sound at least: bytes of a smaller file do not last longer. */
const SLOWEST = 32_000 / 8;
/** Bytes a millisecond of what is a track at all; less of them all through a title are the beginnings of tracks. */
const FAINTEST = SLOWEST / 4 / SECOND;

/**
 * When in a title's playing time its bytes are needed, as well as sizes tell. Segments in files of their own are taken to last equally
 * long, as packagers make them, and all of one is needed at its beginning; a track in one file is taken to have a constant rate.
 * What is neither sound nor picture is needed at once: at 0.
 */
export class Timeline {
	/** By file: when it begins, and how long each of its bytes lasts; 0 where all of it is needed at its beginning. */
	private readonly spans: readonly Span[];
	private readonly files: readonly TitleFile[];

	/** @param duration of the title; 0 when it is not known: then everything is needed at once */
	constructor({ files }: Pick<Manifest, "files">, duration: Millis) {
		const tracks = new Map<string, TitleFile[]>();
		for (const file of files) {
			const track = trackOf(file);
			if (track === undefined) continue;
			const before = tracks.get(track);
			if (before === undefined) tracks.set(track, [file]);
			else before.push(file);
		}
		const spans = new Map<TitleFile, Span>();
		for (const [index, track] of [...tracks.values()].entries()) {
			const [only] = track;
			const plays = duration > 0 && sizeOf(track) >= duration * FAINTEST;
			const common = { track: plays ? index : undefined };
			if (track.length > 1 || only === undefined) {
				const each = duration / track.length;
				for (const [i, file] of track.entries())
					spans.set(file, { ...common, begins: i * each, each, perByte: 0 });
				continue;
			}
			const perByte = Math.min(duration / only.length, SECOND / SLOWEST);
			const each = perByte * only.length;
			spans.set(only, { ...common, begins: 0, each, perByte });
		}
		this.files = files;
		this.spans = files.map((file) => spans.get(file) ?? AT_ONCE);
	}

	/** When the byte at an offset of the byte space is needed, in playing time. */
	at(offset: Bytes): Millis {
		const index = this.fileAt(offset);
		const file = this.files[index];
		const span = this.spans[index];
		if (file === undefined || span === undefined) return 0;
		return span.begins + (offset - file.offset) * span.perByte;
	}

	/** Until when in playing time one can play who has all before the offset: in a segment that has begun, its end. */
	until(offset: Bytes): Millis {
		const index = this.fileAt(offset - 1);
		const file = this.files[index];
		const span = this.spans[index];
		if (file === undefined || span === undefined) return 0;
		if (span.perByte === 0) return span.begins + span.each;
		return span.begins + (offset - file.offset) * span.perByte;
	}

	/** The number of the track that a byte is of; undefined where it is none that plays: of playlists, pictures and what begins a track. */
	track(offset: Bytes): number | undefined {
		return this.spans[this.fileAt(offset)]?.track;
	}

	private fileAt(offset: Bytes): number {
		let low = 0;
		let high = this.files.length - 1;
		while (low < high) {
			const middle = Math.ceil((low + high) / 2);
			if ((this.files[middle]?.offset ?? 0) <= offset) low = middle;
			else high = middle - 1;
		}
		return low;
	}
}

interface Span {
	readonly begins: Millis;
	readonly each: Millis;
	readonly perByte: Millis;
	readonly track: number | undefined;
}

const AT_ONCE: Span = { begins: 0, each: 0, perByte: 0, track: undefined };

function sizeOf(files: readonly TitleFile[]): Bytes {
	return files.reduce((sum, { length }) => sum + length, 0);
}

/** Files of one track differ in the last number before their ending. Undefined for what is neither sound nor picture. */
function trackOf({ path, type }: TitleFile): string | undefined {
	if (!/^(video|audio)\//.test(type)) return undefined;
	return path.replace(/\d+(?=[^\d/.]*\.[^/.]*$)/, "#");
}
