import type { Bytes, Millis } from "../../../src/base/units.ts";

/** The middle value; the mean of the two in the middle when their number is even. NaN of nothing. */
export function median(values: readonly number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	const upper = Math.floor(sorted.length / 2);
	const lower = Math.ceil(sorted.length / 2) - 1;
	return ((sorted[lower] ?? Number.NaN) + (sorted[upper] ?? Number.NaN)) / 2;
}

/** Millions of bytes a second. */
export function megabytesPerSecond(bytes: Bytes, span: Millis): number {
	return bytes / 1e6 / (span / 1000);
}

/** CPU milliseconds for each million bytes. */
export function perMegabyte(cpu: Millis, bytes: Bytes): number {
	return cpu / (bytes / 1e6);
}

/** Figures of one kind of thing, by name. */
export type Figures<Name extends string> = Readonly<Record<Name, number>>;

/** The median of each figure over all runs. */
export function medians<Name extends string>(
	names: readonly Name[],
	runs: readonly Figures<Name>[],
): Figures<Name> {
	const entries = names.map((name): [Name, number] => [
		name,
		median(runs.map((run) => run[name])),
	]);
	return Object.fromEntries(entries) as Record<Name, number>;
}

/** `208`, `41.3`, `4.31`, `0.87`: three figures, for a table. */
export function threeFigures(value: number): string {
	if (!Number.isFinite(value)) return "–";
	const whole = Math.trunc(Math.abs(value)).toString().length;
	return value.toFixed(Math.max(0, Math.min(2, 3 - whole)));
}

/** `0.31 (0.29–0.40)`: the median, and what it lies between. */
export function spread(values: readonly number[]): string {
	if (values.length === 0) return "–";
	const ends = `${threeFigures(Math.min(...values))}–${threeFigures(Math.max(...values))}`;
	return `${threeFigures(median(values))} (${ends})`;
}
