import type { Millis } from "../../../src/base/units.ts";
import { table } from "../../../src/cli/output.ts";
import type { Sight } from "../../player/player.ts";
import { threeFigures } from "../measure/figures.ts";
import type { Evening } from "./evening.ts";

export interface Result {
	readonly name: string;
	readonly roundTrip: Millis;
	readonly evening: Evening;
}

/** The value below which this part of them lies: the nearest rank. */
export function quantile(values: readonly number[], part: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	const rank = Math.max(1, Math.ceil(part * sorted.length));
	return sorted[rank - 1] ?? Number.NaN;
}

export function figuresOf({ viewings, frames, failures }: Evening) {
	const at = (place: number) =>
		viewings.flatMap(({ sights }) => sights.slice(place, place + 1));
	const seen = viewings.flatMap(({ sights }) => sights);
	const sum = (of: (sight: Sight) => number) =>
		seen.reduce((total, sight) => total + of(sight), 0);
	const sources = [...viewings, ...frames].flatMap(
		({ sources }) => sources ?? [],
	);
	const from = (name: "disk" | "neighbours" | "origin") =>
		sources.reduce((total, one) => total + one[name], 0);
	const all = from("disk") + from("neighbours") + from("origin");
	const place = (sights: readonly Sight[]) => {
		const of = (name: "firstByte" | "complete") => sights.map((s) => s[name]);
		return {
			firstByte: quantile(of("firstByte"), 0.5),
			firstByte95: quantile(of("firstByte"), 0.95),
			complete: quantile(of("complete"), 0.5),
			complete95: quantile(of("complete"), 0.95),
		};
	};
	return {
		sessions: viewings.length,
		failures: failures.length,
		prepared: quantile(
			viewings.map(({ prepared }) => prepared),
			0.5,
		),
		start: place(at(0)),
		seek: place(at(1)),
		stalls: sum(({ stills }) => stills.length),
		stalled: sum(({ stalled }) => stalled),
		played: sum(({ played }) => played),
		frames: {
			sessions: frames.length,
			start: quantile(
				frames.map(({ start }) => start),
				0.5,
			),
			start95: quantile(
				frames.map(({ start }) => start),
				0.95,
			),
			seek: quantile(
				frames.map(({ seek }) => seek),
				0.5,
			),
			seek95: quantile(
				frames.map(({ seek }) => seek),
				0.95,
			),
			stalls: frames.reduce((all, { stalls }) => all + stalls, 0),
			stalled: frames.reduce((all, { stalled }) => all + stalled, 0),
		},
		disk: from("disk") / all,
		neighbours: from("neighbours") / all,
		origin: from("origin") / all,
	};
}

/** Prints one table, and what its columns mean. */
export function show(results: readonly Result[]): void {
	const percent = (part: number) =>
		Number.isFinite(part) ? `${(part * 100).toFixed(1)} %` : "–";
	const rows = results.map(({ name, roundTrip, evening }) => {
		const { start, seek, ...all } = figuresOf(evening);
		const pair = (middle: number, most: number) =>
			`${threeFigures(middle)} / ${threeFigures(most)}`;
		return [
			...[name, `${roundTrip}`, `${all.sessions}`, `${all.failures}`],
			threeFigures(all.prepared),
			pair(start.firstByte, start.firstByte95),
			pair(start.complete, start.complete95),
			pair(seek.firstByte, seek.firstByte95),
			pair(seek.complete, seek.complete95),
			`${all.stalls} / ${threeFigures(all.stalled / 1000)}`,
			...[percent(all.disk), percent(all.neighbours), percent(all.origin)],
		];
	});
	const head = [
		...["", "RTT", "sessions", "failed", "playlists", "start: first byte"],
		...["segment", "seek: first byte", "segment", "stalls / s"],
		...["disk", "neighbours", "origin"],
	];
	const right = head.map((_, i) => i).slice(1);
	console.log(`\n${table([head, ...rows], right).join("\n")}\n`);
	const inChromium = results.flatMap(({ name, roundTrip, evening }) => {
		const { frames } = figuresOf(evening);
		if (frames.sessions === 0) return [];
		const of = (...times: number[]) => times.map(threeFigures).join(" / ");
		return [
			[
				...[name, `${roundTrip}`, `${frames.sessions}`],
				of(frames.start, frames.start95),
				of(frames.seek, frames.seek95),
				of(frames.stalls, frames.stalled / 1000),
			],
		];
	});
	if (inChromium.length > 0) {
		const top = ["hls.js in Chromium", "RTT", "sessions"];
		top.push("start: first frame", "seek: first frame", "stalls / s");
		console.log(`${table([top, ...inChromium], [1, 2, 3, 4, 5]).join("\n")}\n`);
	}
	console.log(`Milliseconds, median / 95th percentile: from the request of the segment that is watched first to its first byte, and until it is there
whole. playlists: from pressing play until that request, median. stalls: how often a film that had begun stood still, and seconds of it.
disk, neighbours, origin: where what players got came from.`);
}
