import type { Bytes, Millis } from "../../../src/base/units.ts";

/** Where the bytes of one second came from; neighbours in the order in which they were first used. */
export interface Second {
	/** Seconds since 1970. */
	readonly at: number;
	readonly disk: Bytes;
	readonly neighbours: readonly (Bytes | null)[];
	readonly origin: Bytes;
}

/** How much of the film was there ahead of the picture. */
export interface Level {
	/** Milliseconds since 1970. */
	readonly at: Millis;
	readonly ahead: Millis;
}

/** What one session got, second by second. */
export interface Course {
	readonly seconds: readonly Second[];
	readonly levels: readonly Level[];
}

const [WIDTH, HEIGHT] = [960, 400];
const [LEFT, RIGHT, TOP, BOTTOM] = [72, 56, 56, 36];
const DISK = "#c9882b";
const ORIGIN = "#7b68ee";
const HUES = ["#2a9d8f", "#57a773", "#3a86c8", "#8ab94a", "#1f7a70", "#5f9ad6"];
const INK = "#222";

/** An SVG: bars of the sources of each second, and as a line the seconds that lay ahead of the picture. */
export function plot({ seconds, levels }: Course, title: string): string {
	const times = [
		...seconds.map(({ at }) => at),
		...levels.map(({ at }) => Math.floor(at / 1000)),
	];
	const first = Math.min(...times);
	const span = Math.max(...times) - first + 1;
	const tall = HEIGHT - TOP - BOTTOM;
	const wide = (WIDTH - LEFT - RIGHT) / span;
	const most = Math.max(1, ...seconds.map(({ at: _, ...each }) => sum(each)));
	const full = Math.max(1, ...levels.map(({ ahead }) => ahead));
	const x = (at: number) => LEFT + (at - first) * wide;
	const y = (part: number) => TOP + tall * (1 - part);
	const bars = seconds.flatMap((second) => {
		let below = 0;
		return piecesOf(second).map(([name, colour, bytes]) => {
			const top = y((below + bytes) / most);
			const high = y(below / most) - top;
			below += bytes;
			return `<rect x="${n(x(second.at))}" y="${n(top)}" width="${n(wide * 0.85)}" height="${n(high)}" fill="${colour}"><title>${name}: ${megabits(bytes)}</title></rect>`;
		});
	});
	const line = levels
		.map(({ at, ahead }) => `${n(x(at / 1000))},${n(y(ahead / full))}`)
		.join(" ");
	const step = Math.max(1, Math.ceil(span / 12 / 5) * 5);
	const ticks = Array.from({ length: Math.ceil(span / step) }, (_, i) =>
		text(x(first + i * step), HEIGHT - BOTTOM + 18, `${i * step} s`),
	);
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="${INK}">`,
		`<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
		text(LEFT, 20, title, 'font-size="14" font-weight="bold"'),
		...legend(seconds),
		...bars,
		`<path d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - RIGHT}V${TOP}" fill="none" stroke="${INK}"/>`,
		`<polyline points="${line}" fill="none" stroke="${INK}" stroke-width="2"/>`,
		text(LEFT - 4, TOP + 10, megabits(most), 'text-anchor="end"'),
		text(WIDTH - RIGHT + 4, TOP + 10, `${n(full / 1000)} s`),
		...ticks,
		"</svg>",
		"",
	].join("\n");
}

type Piece = readonly [name: string, colour: string, bytes: Bytes];

function piecesOf({ disk, neighbours, origin }: Second): Piece[] {
	const near = neighbours.map(
		(bytes, i): Piece => [
			`neighbour ${i}`,
			HUES[(i - 1) % HUES.length] ?? INK,
			bytes ?? 0,
		],
	);
	const all: Piece[] = [
		["disk", DISK, disk],
		...near.slice(1),
		["origin", ORIGIN, origin],
	];
	return all.filter(([, , bytes]) => bytes > 0);
}

/** All sources that gave anything, and what lies ahead. */
function legend(seconds: readonly Second[]): string[] {
	const names = new Map(
		seconds.flatMap(piecesOf).map(([name, colour]) => [name, colour]),
	);
	const sorted = [...names].toSorted(([a], [b]) =>
		a.localeCompare(b, "en", { numeric: true }),
	);
	const items = [...sorted, ["ahead of the picture", INK] as const];
	return items.map(([name, colour], i) => {
		const at = LEFT + i * 110;
		const key = `<rect x="${at}" y="32" width="10" height="10" fill="${colour}"/>`;
		return key + text(at + 14, 41, name);
	});
}

function sum({ disk, neighbours, origin }: Omit<Second, "at">): Bytes {
	return neighbours.reduce<number>(
		(all, one) => all + (one ?? 0),
		disk + origin,
	);
}

function text(x: number, y: number, words: string, more = ""): string {
	const safe = words.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
	return `<text x="${n(x)}" y="${y}" ${more}>${safe}</text>`;
}

function megabits(bytes: Bytes): string {
	return `${n((bytes * 8) / 1e6)} Mbit`;
}

/** No more digits than a picture shows. */
function n(value: number): string {
	return `${Math.round(value * 10) / 10}`;
}
