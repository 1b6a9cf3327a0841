import { byLevel, el, keyed, meter, percent, plural } from "./format.js";

const HOUR = 3_600_000;

/** What came of it, in words for an operator. */
const CAUSES = {
	"not-placed": "no copy yet",
	"holder-offline": "holder away",
	"holder-busy": "holder busy",
	"too-slow": "too slow",
	"verification-failed": "not as published",
	entitlement: "no key",
	disk: "disk",
};

/** How titles were to watch in the last day, by title and region; what was watched most first. */
export function showQuality(rows, titles) {
	const names = new Map(titles.map(({ id, name }) => [id, name]));
	const played = rows.reduce((sum, row) => sum + row.played, 0);
	const stalls = rows.reduce((sum, row) => sum + row.stalls, 0);
	document.getElementById("quality-sum").textContent =
		rows.length === 0
			? ""
			: `${hours(played)} watched in 24 hours, ${plural(stalls, "stall")}`;
	document.getElementById("quality-none").hidden = rows.length > 0;
	document.getElementById("quality-table").hidden = rows.length === 0;
	keyed(
		document.getElementById("quality"),
		rows
			.toSorted((a, b) => b.played - a.played || (a.id < b.id ? -1 : 1))
			.map((each) => ({ ...each, name: names.get(each.title) })),
		(each) => each.id,
		row,
	);
}

function row(each) {
	const { disk, neighbours, near, origin } = each;
	const bytes = disk + neighbours + origin;
	return el(
		`tr.${tone(each)}`,
		{},
		el(
			"td",
			{},
			el("div.name", {}, each.name ?? "no longer published"),
			el("small.note", {}, each.region),
		),
		el("td.n", {}, hours(each.played)),
		el(
			"td.n",
			{ title: plural(each.starts, "start") },
			seconds(each.startP50),
			el("small.note", {}, ` ${seconds(each.startP95)}`),
		),
		el(
			"td.n",
			{
				title: `${(each.stalled / 1000).toFixed(1)} s in all, ${percent(each.stalled, each.played + each.stalled)} of the time`,
			},
			each.stallsPerHour === null ? "–" : figure(each.stallsPerHour),
			el("small.note", {}, ` ${plural(each.stalls, "stall")}`),
		),
		el(
			"td.n",
			{ title: `${plural(each.switches, "switch", "switches")}` },
			each.bitrate === 0 ? "–" : `${figure(each.bitrate / 1e6)}\u00a0Mbit/s`,
		),
		el(
			"td",
			{},
			el(
				"div.level",
				{
					title: `own disk ${percent(disk, bytes)}, neighbours ${percent(neighbours, bytes)}, origin ${percent(origin, bytes)}${nearness(near, neighbours)}`,
				},
				meter(
					[
						[disk / bytes, "disk"],
						[neighbours / bytes, "near"],
						[origin / bytes, "origin"],
					],
					"own disk, neighbours, origin",
				),
				el("span", {}, percent(bytes - origin, bytes)),
			),
		),
		el("td", {}, misses(each)),
	);
}

function nearness(near, neighbours) {
	const levels = byLevel(near, neighbours);
	return levels === "" ? "" : `; of neighbours ${levels}`;
}

/** One stall an hour is what a viewer remembers. */
function tone({ stallsPerHour, misses }) {
	if (stallsPerHour >= 1) return "short";
	return Object.keys(misses).length > 0 ? "filling" : "whole";
}

/** Largest first. */
function misses({ misses }) {
	const parts = Object.entries(misses)
		.toSorted(([, a], [, b]) => b - a)
		.map(([cause, count]) => `${count.toLocaleString("en")} ${CAUSES[cause]}`);
	return parts.length === 0
		? el("span.state.whole", {}, "none")
		: parts.join(", ");
}

function hours(played) {
	if (played < 2 * 60_000) return `${Math.round(played / 1000)}\u00a0s`;
	return played < HOUR
		? `${Math.round(played / 60_000)}\u00a0min`
		: `${figure(played / HOUR)}\u00a0h`;
}

function seconds(value) {
	return value === null ? "–" : `${value.toFixed(value < 10 ? 2 : 1)}\u00a0s`;
}

function figure(value) {
	return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}
