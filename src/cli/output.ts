import { stdout } from "node:process";
import { stripVTControlCharacters, styleText } from "node:util";

export type Tone = "good" | "warn" | "bad" | "faint" | "strong";

const STYLES = {
	good: "green",
	warn: "yellow",
	bad: "red",
	faint: "dim",
	strong: "bold",
} as const satisfies Record<Tone, string>;

/** Colours text when standard output is a terminal and NO_COLOR is not set (https://no-color.org). */
export function tint(tone: Tone, text: string): string {
	if (stdout.isTTY !== true || process.env["NO_COLOR"]) return text;
	return styleText(STYLES[tone], text, { validateStream: false });
}

export function print(text: string): void {
	stdout.write(`${text}\n`);
}

/** Raw results for programs. */
export function printJson(value: unknown): void {
	print(JSON.stringify(value, undefined, 2));
}

/**
 * Lines of a table, columns as wide as their widest cell and two spaces apart; the last one is not padded.
 * @param right columns, from 0, that are set flush right: numbers
 */
export function table(
	rows: readonly (readonly string[])[],
	right: readonly number[] = [],
): string[] {
	const widths: number[] = [];
	for (const row of rows)
		for (const [i, cell] of row.entries())
			widths[i] = Math.max(widths[i] ?? 0, widthOf(cell));
	return rows.map((row) =>
		row
			.map((cell, i) => {
				const gap = " ".repeat((widths[i] ?? 0) - widthOf(cell));
				if (right.includes(i)) return gap + cell;
				return i === row.length - 1 ? cell : cell + gap;
			})
			.join("  ")
			.trimEnd(),
	);
}

function widthOf(cell: string): number {
	return [...stripVTControlCharacters(cell)].length;
}

/** `4 d 2 h`, `3 min 5 s`, `12 s`: the two largest parts. */
export function formatSpan(ms: number): string {
	const units = [
		["d", 86_400_000],
		["h", 3_600_000],
		["min", 60_000],
		["s", 1000],
	] as const;
	const parts: string[] = [];
	let left = Math.max(0, ms);
	for (const [unit, scale] of units) {
		const figure = Math.floor(left / scale);
		left -= figure * scale;
		if (figure > 0) parts.push(`${figure} ${unit}`);
		else if (parts.length > 0) break;
	}
	return parts.slice(0, 2).join(" ") || "0 s";
}

/** `1 box`, `1,204 boxes`. */
export function plural(count: number, one: string, many: string): string {
	return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}
