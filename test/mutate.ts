// Seeded mutations of messages, for fuzz tests that can be repeated: the same seed makes the same bytes, on any machine.
import { createHash } from "node:crypto";

/** How many of so many: all for `npm run fuzz`, a tenth in a run of all tests, which is to end while somebody waits. */
export function share(all: number): number {
	return process.env["LARDER_FUZZ"] === "full" ? all : all / 10;
}

/** Values that stand where a number, a length or a type is believed. */
const EXTREMES = [
	...[0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn],
	...[0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn],
	...[0x001f_ffff_ffff_ffffn, 0x7fff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn],
];

/** JSON that no value of JavaScript is written as. */
const RAW = [
	...["1e400", "-1e400", "1e-400", "-0", "9007199254740993"],
	...["123456789".repeat(40), '{"__proto__":{"ok":true}}', '{"a":1,"a":2}'],
	...['"\\ud800"', '"\\u0000"', "nul", "'x'", "[1,]", "", '{"then":1}'],
];

const FOREIGN: readonly unknown[] = [
	...[null, true, false, 0, -1, 0.5, 1e21, 2 ** 31, 2 ** 53],
	...["", "\u0000", "constructor", "\u{1f3ac}".repeat(50), "x".repeat(5000)],
	...[[], {}, [[]], [null], { length: 1e9 }, { toJSON: 1 }],
];

/** How deep the nesting goes: past what a recursive reader's stack holds. */
const DEPTHS = [10, 500, 20_000] as const;

const MARK = "\u0001";

/** Makes wrong messages out of right ones. Every draw comes from the seed. */
export class Mutator {
	private readonly seed: string;
	private drawn = 0;
	private pool: Buffer = Buffer.alloc(0);

	constructor(seed: string) {
		this.seed = seed;
	}

	/** A whole number from 0 to below `n`, which is at most 2^32. */
	below(n: number): number {
		if (this.pool.length < 4) {
			const text = `${this.seed}/${this.drawn++}`;
			this.pool = createHash("sha512").update(text).digest();
		}
		const draw = this.pool.readUInt32LE();
		this.pool = this.pool.subarray(4);
		return Math.floor((draw / 2 ** 32) * n);
	}

	pick<T>(list: readonly T[]): T {
		return list[this.below(list.length)] as T;
	}

	/** One of the messages with one to three faults, most often one; it may have grown by a few hundred bytes. */
	bytes(messages: readonly Uint8Array[]): Buffer {
		let bytes: Buffer = Buffer.from(this.pick(messages));
		for (let faults = this.pick([1, 1, 1, 2, 3]); faults > 0; faults--)
			bytes = this.spoil(bytes, messages);
		return bytes;
	}

	/** The value as JSON, with one to three faults in its types, names, numbers and depth. It may be no JSON any more. */
	json(value: unknown): string {
		let tree: unknown = structuredClone(value);
		for (let faults = this.pick([1, 1, 1, 2, 3]); faults > 0; faults--)
			tree = this.swap(tree);
		return JSON.stringify(tree).replaceAll(
			/"\\u0001(\w+)"/g,
			(_, mark: string) => this.expand(mark),
		);
	}

	private spoil(bytes: Buffer, messages: readonly Uint8Array[]): Buffer {
		const at = this.below(bytes.length + 1);
		const end = Math.min(bytes.length, at + 1 + this.below(16));
		switch (this.below(8)) {
			case 0:
				return this.flip(bytes);
			case 1:
				return bytes.subarray(0, at);
			case 2:
				return bytes.subarray(at);
			case 3: {
				const other = Buffer.from(this.pick(messages));
				const tail = other.subarray(this.below(other.length + 1));
				return Buffer.concat([bytes.subarray(0, at), tail]);
			}
			case 4:
				return Buffer.concat([bytes.subarray(0, at), bytes.subarray(end)]);
			case 5: {
				const again = bytes.subarray(at, end);
				const times = Array(1 + this.below(40)).fill(again);
				return Buffer.concat([
					bytes.subarray(0, at),
					...times,
					bytes.subarray(at),
				]);
			}
			case 6:
				return this.lie(bytes, at);
			default:
				return this.exaggerate(bytes, at);
		}
	}

	private flip(bytes: Buffer): Buffer {
		const flipped = Buffer.from(bytes);
		for (let bits = 1 + this.below(8); bits > 0 && flipped.length > 0; bits--) {
			const at = this.below(flipped.length);
			flipped[at] = (flipped[at] ?? 0) ^ (1 << this.below(8));
		}
		return flipped;
	}

	/** An extreme number over what stands there, in one of the ways that binary protocols write lengths. */
	private lie(bytes: Buffer, at: number): Buffer {
		const value = this.pick(EXTREMES);
		const wide = Buffer.alloc(8);
		wide.writeBigUInt64LE(value);
		const size = this.pick([1, 2, 4, 8]);
		const plain = wide.subarray(0, size);
		// compact-encoding: 0xfd, 0xfe and 0xff go before two, four and eight bytes.
		const compact = Buffer.from([
			{ 1: 0, 2: 0xfd, 4: 0xfe, 8: 0xff }[size] ?? 0,
		]);
		const lie = this.pick([
			plain,
			Buffer.from(plain).reverse(),
			Buffer.concat([compact, plain]),
		]);
		const rest = bytes.subarray(Math.min(bytes.length, at + lie.length));
		return Buffer.concat([bytes.subarray(0, at), lie, rest]);
	}

	/** Another number where one is written in digits; random bytes where none is. */
	private exaggerate(bytes: Buffer, at: number): Buffer {
		const text = bytes.toString("latin1");
		const numbers = [...text.matchAll(/\d+/g)];
		if (numbers.length === 0) {
			const noise = Buffer.from(
				Array.from({ length: 8 }, () => this.below(256)),
			);
			return Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at)]);
		}
		const { index, 0: digits } = this.pick(numbers);
		const sign = this.pick(["", "-", "+", "0x", ""]);
		const number = `${sign}${this.pick(EXTREMES)}`;
		return Buffer.from(
			text.slice(0, index) + number + text.slice(index + digits.length),
			"latin1",
		);
	}

	/** Walks down to some place in the value and puts something else there. */
	private swap(value: unknown): unknown {
		const isInner = typeof value === "object" && value !== null;
		const keys = isInner ? Object.keys(value) : [];
		if (!isInner || keys.length === 0 || this.below(4) === 0)
			return this.other();
		const key = this.pick(keys);
		if (Array.isArray(value))
			return value.map((item, i) => (`${i}` === key ? this.swap(item) : item));
		const { [key]: inner, ...rest } = value as Record<string, unknown>;
		switch (this.below(8)) {
			case 0:
				return rest;
			case 1:
				return { ...rest, [`${key} `]: inner };
			case 2:
				return {
					...value,
					[this.pick(["constructor", "", "x"])]: this.other(),
				};
			case 3:
				return Object.entries(value);
			default:
				return { ...rest, [key]: this.swap(inner) };
		}
	}

	private other(): unknown {
		const kind = this.below(10);
		if (kind === 0) return `${MARK}deep${this.below(DEPTHS.length)}`;
		if (kind < 4) return `${MARK}raw${this.below(RAW.length)}`;
		return this.pick(FOREIGN);
	}

	private expand(mark: string): string {
		const index = Number(/\d+$/.exec(mark)?.[0]);
		if (mark.startsWith("raw")) return RAW[index] ?? "";
		const depth = DEPTHS[index] ?? 0;
		const [open, inner, close] = this.pick([
			["[", "", "]"],
			['{"a":', "1", "}"],
			["[", "", ""],
		] as const);
		return open.repeat(depth) + inner + close.repeat(depth);
	}
}
