export type Bytes = number;
export type Millis = number;
/** Bytes a second. 0 means no limit wherever it is a setting. */
export type Rate = number;
/** What may pass at most: 0 is no limit, "none" is nothing at all. */
export type Limit = Rate | "none";

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

const SCALES: readonly [string, number][] = [
	["TiB", 1024 * GiB],
	["GiB", GiB],
	["MiB", MiB],
	["KiB", KiB],
];

/** `1.5 GiB`, `812 B`: three significant figures. */
export function formatBytes(bytes: Bytes): string {
	for (const [unit, scale] of SCALES) {
		if (bytes >= scale) {
			const figure = bytes / scale;
			return `${figure.toFixed(figure >= 100 ? 0 : figure >= 10 ? 1 : 2)} ${unit}`;
		}
	}
	return `${Math.round(bytes)} B`;
}

const UNITS: Readonly<Record<string, number>> = {
	"": 1,
	B: 1,
	K: KiB,
	KiB: KiB,
	M: MiB,
	MiB: MiB,
	G: GiB,
	GiB: GiB,
	T: 1024 * GiB,
	TiB: 1024 * GiB,
	kB: 1e3,
	MB: 1e6,
	GB: 1e9,
	TB: 1e12,
};

/** Reads `512`, `64 KiB`, `1.5GB`, `20G`; undefined when it is none of these. */
export function parseBytes(text: string): Bytes | undefined {
	const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(text);
	const unit = UNITS[match?.[2] ?? ""];
	if (match?.[1] === undefined || unit === undefined) return undefined;
	return Math.floor(Number(match[1]) * unit);
}

const BITS: Readonly<Record<string, number>> = {
	"bit/s": 1,
	"kbit/s": 1e3,
	"Mbit/s": 1e6,
	"Gbit/s": 1e9,
};

/**
 * Reads `5 Mbit/s`, `600 KiB/s`, and `0` for no limit; undefined when it is none of these. A bare number other than 0 is none: nobody
 * knows whether it counts bits or bytes.
 */
export function parseRate(value: unknown): Rate | undefined {
	if (value === 0 || value === "0") return 0;
	if (typeof value !== "string") return undefined;
	const [, number, unit = ""] =
		/^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+\/s)\s*$/.exec(value) ?? [];
	if (number === undefined) return undefined;
	const bits = BITS[unit];
	const bytes =
		bits === undefined
			? parseBytes(`${number} ${unit.slice(0, -"/s".length)}`)
			: Math.floor((Number(number) * bits) / 8);
	// A rate that rounds to 0 would mean the very opposite of a low limit.
	return bytes === 0 ? undefined : bytes;
}
