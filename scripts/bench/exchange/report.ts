import { table } from "../../../src/cli/output.ts";
import {
	type Figures,
	medians,
	spread,
	threeFigures,
} from "../measure/figures.ts";
import { FIGURES, type Figure } from "./contestant.ts";

export interface Result {
	readonly name: string;
	readonly about: string;
	readonly runs: Figures<Figure>[];
}

export interface Summary {
	readonly name: string;
	readonly about: string;
	readonly medians: Figures<Figure>;
	/** To the base in the same run; absent when that did not take part. */
	readonly ratios?: {
		readonly mbps: number;
		readonly mbpsSynced: number;
		readonly cpuBoth: number;
	};
	readonly runs: readonly Figures<Figure>[];
}

/** @param baseName the one that all are compared with */
export function summarize(
	results: readonly Result[],
	baseName: string,
): Summary[] {
	const all = results.map((result) => ({
		...result,
		medians: medians(FIGURES, result.runs),
	}));
	const base = all.find(({ name }) => name === baseName)?.medians;
	return all.map(({ name, about, runs, medians: own }) => ({
		name,
		about,
		medians: own,
		...(base !== undefined && {
			ratios: {
				mbps: own.mbps / base.mbps,
				mbpsSynced: own.mbpsSynced / base.mbpsSynced,
				cpuBoth: own.cpuBoth / base.cpuBoth,
			},
		}),
		runs,
	}));
}

/** Prints one table, and what its columns mean. */
export function show(summaries: readonly Summary[], baseName: string): void {
	const of = ({ medians: m }: Summary, ...names: Figure[]) =>
		names.map((name) => threeFigures(m[name]));
	const rows = summaries.map((summary) => [
		summary.name,
		spread(summary.runs.map((run) => run.mbps)),
		spread(summary.runs.map((run) => run.mbpsSynced)),
		...of(summary, "cpuSender", "cpuReceiver", "cpuBoth"),
		of(summary, "pssSender", "anonymousSender").join(" / "),
		of(summary, "pssReceiver", "anonymousReceiver").join(" / "),
		...of(summary, "written"),
		...(["mbps", "mbpsSynced", "cpuBoth"] as const).map((name) =>
			threeFigures(summary.ratios?.[name] ?? Number.NaN),
		),
	]);
	const head = [
		"",
		"MB/s",
		"MB/s synced",
		"CPU sender",
		"receiver",
		"both",
		"PSS sender",
		"PSS receiver",
		"written",
		"x MB/s",
		"x synced",
		"x CPU",
	];
	const right = head.map((_, i) => i).slice(1);
	console.log(`\n${table([head, ...rows], right).join("\n")}\n`);
	for (const { name, about } of summaries) console.log(`${name}: ${about}.`);
	console.log(`Medians (least–most). MB is 10^6 bytes. MB/s: from the first byte of content until the receiver says that it has all; synced:
until all of it is synced to the disk. CPU: ms per MB, user and system of that process alone, from the first byte until synced.
PSS: peak in MB / the part that is no file's. written: bytes the receiver made the kernel write / content. x: to ${baseName}.
The sender's file is in the page cache for all alike. libtorrent and Larder check it before the clock starts.`);
}
