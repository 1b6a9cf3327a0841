import { createCipheriv } from "node:crypto";

/** Encrypts the samples of a track with AES-128 in counter mode, as the scheme `cenc` has it (ISO/IEC 23001-7). */
export interface Protection {
	/** 16 bytes each. */
	readonly keyId: Buffer;
	readonly key: Buffer;
	/** Whole `pssh` boxes, to stand in the movie box. */
	readonly psshs: readonly Buffer[];
}

interface Box {
	readonly type: string;
	/** With its header. */
	readonly bytes: Buffer;
	readonly body: Buffer;
}

/** Of a NAL unit of picture, its length and so much more stay clear. */
const CLEAR_LEAD = 16;
const LENGTH_BYTES = 4;

/** A box of ISO/IEC 14496-12. */
export function box(type: string, ...parts: readonly Buffer[]): Buffer {
	const body = Buffer.concat(parts);
	const head = Buffer.alloc(8);
	head.writeUInt32BE(8 + body.length);
	head.write(type, 4, "latin1");
	return Buffer.concat([head, body]);
}

/** A `pssh` box of version 1, which names keys. */
export function pssh(system: Buffer, keyIds: readonly Buffer[], data: Buffer) {
	return box(
		...["pssh" as const],
		...[words(0x0100_0000), system, words(keyIds.length), ...keyIds],
		...[words(data.length), data],
	);
}

/** A fragmented MP4 of one track, H.264 or AAC, whose fragments count from their own beginning; what indexes it is left out. */
export function encrypt(movie: Buffer, protection: Protection): Buffer {
	const out: Buffer[] = [];
	let samples = 0;
	let isPicture = false;
	let encrypted: Buffer | undefined;
	for (const { type, bytes, body } of boxesIn(movie)) {
		if (type === "moov") {
			isPicture = body.includes("avc1");
			const own = change(body, ["trak", "mdia", "minf", "stbl", "stsd"], (b) =>
				protectEntry(b, protection.keyId),
			);
			out.push(box("moov", own, ...protection.psshs));
		} else if (type === "moof") {
			const [, media] = boxesIn(movie.subarray(offsetIn(movie, bytes)));
			if (media?.type !== "mdat") throw new Error("a fragment has no media");
			const { header, content } = protectFragment(
				...([body, media.body, samples, isPicture, protection.key] as const),
			);
			samples += content.length;
			out.push(header);
			encrypted = box("mdat", ...content);
		} else if (type === "mdat") out.push(encrypted ?? bytes);
		else if (!/^(sidx|mfra)$/.test(type)) out.push(bytes);
	}
	return Buffer.concat(out);
}

/** The boxes that lie one after the other. */
export function boxesIn(bytes: Buffer): Box[] {
	const boxes: Box[] = [];
	for (let at = 0; at + 8 <= bytes.length; ) {
		const whole = bytes.subarray(at, at + bytes.readUInt32BE(at));
		const type = whole.toString("latin1", 4, 8);
		boxes.push({ type, bytes: whole, body: whole.subarray(8) });
		at += whole.length;
	}
	return boxes;
}

function offsetIn(whole: Buffer, part: Buffer): number {
	return part.byteOffset - whole.byteOffset;
}

/** The same boxes with the one at the end of the path put through `by`. */
function change(
	body: Buffer,
	[first = "", ...rest]: readonly string[],
	by: (body: Buffer) => Buffer,
): Buffer {
	const parts = boxesIn(body).map(({ type, bytes, body: own }) => {
		if (type !== first) return bytes;
		return box(type, rest.length === 0 ? by(own) : change(own, rest, by));
	});
	return Buffer.concat(parts);
}

/** Of `stsd`: its one entry says what it was, and with which key it is encrypted. */
function protectEntry(stsd: Buffer, keyId: Buffer): Buffer {
	const [entry] = boxesIn(stsd.subarray(8));
	if (entry === undefined) throw new Error("a track has no entry");
	const tenc = box("tenc", words(0), Buffer.from([0, 0, 1, 8]), keyId);
	const schm = box("schm", words(0), Buffer.from("cenc"), words(0x1_0000));
	const frma = box("frma", Buffer.from(entry.type, "latin1"));
	const sinf = box("sinf", frma, schm, box("schi", tenc));
	const type = entry.type === "avc1" ? "encv" : "enca";
	return Buffer.concat([stsd.subarray(0, 8), box(type, entry.body, sinf)]);
}

function protectFragment(
	moof: Buffer,
	media: Buffer,
	first: number,
	isPicture: boolean,
	key: Buffer,
) {
	const traf = boxesIn(moof).find(({ type }) => type === "traf");
	const parts = boxesIn(traf?.body ?? Buffer.alloc(0));
	const trun = parts.find(({ type }) => type === "trun");
	if (trun === undefined) throw new Error("a fragment has no run");
	const content: Buffer[] = [];
	const records: Buffer[] = [];
	let at = 0;
	for (const size of sizesOf(trun.body, parts)) {
		const sample = media.subarray(at, at + size);
		const iv = Buffer.alloc(16);
		iv.writeUInt32BE(first + content.length + 1, 4);
		const cipher = createCipheriv("aes-128-ctr", key, iv);
		const ranges = isPicture ? rangesOf(sample) : [[0, size] as const];
		const out: Buffer[] = [];
		const table: Buffer[] = [];
		let from = 0;
		for (const [clear, hidden] of ranges) {
			out.push(sample.subarray(from, from + clear));
			const end = from + clear + hidden;
			out.push(cipher.update(sample.subarray(from + clear, end)));
			const row = Buffer.alloc(6);
			row.writeUInt16BE(clear);
			row.writeUInt32BE(hidden, 2);
			table.push(row);
			from = end;
		}
		content.push(Buffer.concat(out));
		const count = Buffer.alloc(2);
		count.writeUInt16BE(table.length);
		const subsamples = isPicture ? [count, ...table] : [];
		records.push(Buffer.concat([iv.subarray(0, 8), ...subsamples]));
		at += size;
	}
	const info = Buffer.concat([words(records.length), ...records]);
	const senc = box("senc", words(isPicture ? 2 : 0), info);
	const sizes = Buffer.from(records.map(({ length }) => length));
	const head = Buffer.from([0, 0, 0, 0, 0]);
	const saiz = box("saiz", head, words(records.length), sizes);
	const added = senc.length + saiz.length + 20;
	const before = Buffer.concat(parts.map(({ bytes }) => bytes));
	// Fields before the first record: box, flags and count. The run begins behind what was added.
	const shifted = Buffer.from(before);
	const run = offsetIn(parts[0]?.bytes ?? before, trun.bytes) + 16;
	shifted.writeInt32BE(shifted.readInt32BE(run) + added, run);
	const others = boxesIn(moof).filter(({ type }) => type !== "traf");
	const ahead = Buffer.concat(others.map(({ bytes }) => bytes));
	const start = 8 + ahead.length + 8 + shifted.length + 20 + saiz.length + 16;
	const saio = box("saio", words(0), words(1), words(start));
	const own = box("traf", shifted, saiz, saio, senc);
	return { header: box("moof", ahead, own), content };
}

/** Sizes of a run's samples: each said there, or the same for all in the fragment's header. */
function sizesOf(trun: Buffer, parts: readonly Box[]): number[] {
	const flags = trun.readUInt32BE(0);
	const count = trun.readUInt32BE(4);
	const fields = [0x100, 0x200, 0x400, 0x800].filter((one) => flags & one);
	const field = fields.indexOf(0x200);
	const head = parts.find(({ type }) => type === "tfhd")?.body;
	if (head === undefined || !(flags & 1))
		throw new Error("another kind of run");
	const start = 12 + (flags & 4 ? 4 : 0) + 4 * field;
	if (field < 0) {
		// It comes last of what a header of ours has, before the flags.
		const at = 8 + (head.readUInt32BE(0) & 8 ? 4 : 0);
		return Array.from({ length: count }, () => head.readUInt32BE(at));
	}
	return Array.from({ length: count }, (_, i) =>
		trun.readUInt32BE(start + i * 4 * fields.length),
	);
}

/** What of a sample of H.264 stays clear and what follows it hidden, in turn. Only slices are hidden. */
function rangesOf(sample: Buffer): (readonly [number, number])[] {
	const ranges: (readonly [number, number])[] = [];
	let clear = 0;
	for (let at = 0; at < sample.length; ) {
		const length = LENGTH_BYTES + sample.readUInt32BE(at);
		const type = sample.readUInt8(at + LENGTH_BYTES) & 31;
		const room = length - LENGTH_BYTES - CLEAR_LEAD;
		const hidden = type >= 1 && type <= 5 && room > 0 ? room - (room % 16) : 0;
		clear += length - hidden;
		if (hidden > 0) {
			ranges.push([clear, hidden]);
			clear = 0;
		}
		at += length;
	}
	if (clear > 0) ranges.push([clear, 0]);
	return ranges;
}

function words(...values: readonly number[]): Buffer {
	const bytes = Buffer.alloc(4 * values.length);
	for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
	return bytes;
}
