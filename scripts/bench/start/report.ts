import type { Bytes, Millis } from "../../../src/base/units.ts";
import { table } from "../../../src/cli/output.ts";
import { spread, threeFigures } from "../measure/figures.ts";
import type { Size } from "./size.ts";

export const STARTS = ["ready", "notified", "node"] as const;
export type Start = (typeof STARTS)[number];
const ABOUT: Readonly<Record<Start, string>> = {
	ready: `until its log says "ready"`,
	notified: "until systemd is told READY=1",
	node: "node -e 0, from exec to exit",
};
export const CACHES = ["cold", "warm"] as const;
/** Milliseconds of every start. */
export type Times = Record<(typeof CACHES)[number], Record<Start, Millis[]>>;

export interface IdleMemory {
	readonly neighbours: number;
	readonly pss: Bytes;
	readonly anonymous: Bytes;
	readonly peakRss: Bytes;
}

export interface Report {
	readonly machine: Record<string, string>;
	readonly target: string;
	readonly sizes: { readonly bundle: Size; readonly runtime: Size };
	readonly times: Times;
	/** Seconds that a box had been idle. */
	readonly idle: number;
	readonly memory: readonly IdleMemory[];
}

/** Prints the machine and three tables. */
export function show(report: Report): void {
	const { machine, target, sizes, times, idle, memory } = report;
	for (const [name, fact] of Object.entries(machine))
		console.log(`${name}: ${fact}`);
	const starts = STARTS.map((kind) => [
		ABOUT[kind],
		...CACHES.map((cache) => spread(times[cache][kind].map((ms) => ms / 1000))),
	]);
	const head = ["seconds, median (least–most)", "cold page cache", "warm"];
	console.log(`\n${table([head, ...starts], [1, 2]).join("\n")}`);
	if (times.cold.ready.length === 0)
		console.log("Nothing was cold: only root may empty the page cache.");
	const { bundle, runtime } = sizes;
	const both = {
		plain: bundle.plain + runtime.plain,
		packed: bundle.packed + runtime.packed,
	};
	const megabytes = (bytes: Bytes) => threeFigures(bytes / 1e6);
	const row = (name: string, { plain, packed }: Size) => [
		name,
		megabytes(plain),
		megabytes(packed),
	];
	const rows = [
		[`MB (10^6 bytes), ${target}`, "on disk", "xz -3"],
		row("bundle with addons", bundle),
		row("runtime", runtime),
		row("both", both),
	];
	console.log(`\n${table(rows, [1, 2]).join("\n")}`);
	const used = [
		[`MB after ${idle} s idle`, "PSS", "no file's", "peak RSS"],
		...memory.map(({ neighbours, pss, anonymous, peakRss }) => [
			`${neighbours} neighbours`,
			...[pss, anonymous, peakRss].map(megabytes),
		]),
	];
	console.log(`\n${table(used, [1, 2, 3]).join("\n")}`);
}
