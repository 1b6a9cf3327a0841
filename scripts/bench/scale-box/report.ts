import {
	type Bytes,
	formatBytes,
	type Millis,
} from "../../../src/base/units.ts";
import { median, spread, threeFigures } from "../measure/figures.ts";
import type { HoardSize } from "./hoard.ts";
import type { Stock, Work } from "./stock.ts";
import type { Span } from "./watch.ts";

export interface Starts {
	readonly warm: readonly Millis[];
	readonly cold: readonly Millis[];
}

/** Without the options that leave something out, all of it is there. */
export interface Report {
	readonly machine: Readonly<Record<string, string>>;
	readonly size: HoardSize;
	readonly starts: {
		readonly empty: Starts;
		/** Once, when it has not written down how its titles are cut. */
		readonly first: Starts;
		readonly full: Starts;
		/** With its placement on the disk. */
		readonly known?: Starts;
	};
	readonly spans?: readonly Span[];
	readonly placement?: {
		readonly bytes: Bytes;
		/** From when it is told until it says that it fetches: the first, and one that changes little. */
		readonly took: Millis;
		readonly again: Millis;
	};
	/** First bytes of what is on the disk. */
	readonly player?: {
		readonly opened: Millis;
		readonly during: readonly Millis[];
		readonly underLoad: readonly Millis[];
	};
	readonly load?: {
		readonly got: Bytes;
		/** How often neighbours were given nothing, by why. */
		readonly failed: Readonly<Record<string, number>>;
		readonly peak: Bytes;
		readonly span: Millis;
	};
	readonly idle?: { readonly span: Millis; readonly reports: number };
	/** The last one that it made, in bytes. */
	readonly fillReport?: Bytes;
	readonly neighbours?: number;
	readonly stock?: Stock;
}

export function show(report: Report): void {
	const { machine, size, starts, spans = [] } = report;
	for (const [name, value] of Object.entries(machine))
		console.log(`${name.padEnd(12)} ${value}`);
	console.log(
		`\n${size.titles} titles of ${size.length} shards and ${size.segments} files each, ${size.shards} shards here (sparse: right names and sizes)\n`,
	);
	for (const [what, { warm, cold }] of Object.entries(starts))
		console.log(
			`start, ${what.padEnd(6)} warm ${spread(warm)} ms, cold ${spread(cold)} ms; reading the disk ${readingOf({ warm, cold })}`,
		);
	if (spans.length > 0)
		console.log(
			`\n${"".padEnd(48)}     s   CPU s   PSS   USS  anon  heap MiB   lag p99  max ms`,
		);
	for (const span of spans) {
		const mib = (bytes: Bytes) => (bytes / 2 ** 20).toFixed(0).padStart(5);
		const s = (ms: Millis) => threeFigures(ms / 1000).padStart(6);
		const { what, pss, uss, anonymous, heap, lagP99, lagMax } = span;
		console.log(
			`${what.padEnd(48)}${s(span.span)} ${s(span.cpu)} ${mib(pss)} ${mib(uss)} ${mib(anonymous)} ${mib(heap)}     ${threeFigures(lagP99).padStart(8)} ${threeFigures(lagMax).padStart(8)}`,
		);
	}
	const { placement, player, load, idle, stock } = report;
	if (placement)
		console.log(
			`\na placement of ${formatBytes(placement.bytes)}: ${threeFigures(placement.took)} ms until it is followed, another ${threeFigures(placement.again)} ms`,
		);
	if (player)
		console.log(
			`first byte of what is here: opened in ${threeFigures(player.opened)} ms; ${tail(player.during)} while the placement changed, ${tail(player.underLoad)} under load`,
		);
	if (load)
		console.log(
			`under load: PSS at most ${formatBytes(load.peak)}; neighbours got ${formatBytes((load.got / load.span) * 1000)}/s, and nothing for ${JSON.stringify(load.failed)}`,
		);
	if (idle)
		console.log(
			`fill reports of ${formatBytes(report.fillReport ?? 0)}; ${idle.reports} in ${threeFigures(idle.span / 1000)} s of idleness; ${report.neighbours} neighbours at the end`,
		);
	if (stock)
		console.log(
			`taking stock ${told(stock.open)}; audit ${told(stock.audit)}, ${stock.mended} mended; what to read through next ${told(stock.scrub)}`,
		);
}

/** What of a cold start is the disk's: that a warm one goes without. */
function readingOf({ warm, cold }: Starts): string {
	const part = median(cold) - median(warm);
	return Number.isNaN(part) ? "?" : `${threeFigures(part)} ms`;
}

function told({ took, cpu, lagMax }: Work): string {
	return `${threeFigures(took)} ms (CPU ${threeFigures(cpu)}, loop late by ${threeFigures(lagMax)} at most)`;
}

function tail(times: readonly Millis[]): string {
	const sorted = times.toSorted((a, b) => a - b);
	const at = (part: number) => sorted[Math.ceil(sorted.length * part) - 1] ?? 0;
	return `median ${threeFigures(at(0.5))}, p99 ${threeFigures(at(0.99))}, max ${threeFigures(at(1))} ms (${sorted.length})`;
}
