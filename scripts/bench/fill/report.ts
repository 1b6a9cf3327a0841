import type { Bytes, Millis } from "../../../src/base/units.ts";
import { table } from "../../../src/cli/output.ts";
import { median, spread, threeFigures } from "../measure/figures.ts";
import type { Caps } from "../network/network.ts";
import type { Outcome } from "./race.ts";

/** All races of one contestant at one number of boxes. */
export interface Result {
	readonly name: string;
	readonly boxes: number;
	readonly floor: Millis;
	readonly runs: Outcome[];
}

export interface Figures {
	/** Time of the last box / floor; Infinity when some box was not in time. */
	readonly last: number;
	/** Time of the box in the middle / floor. */
	readonly middle: number;
	/** Bytes that the source sent / the title. */
	readonly source: number;
	/** The part of what all uplinks could have carried until the last box was done that they did carry, headers included. */
	readonly busy: number;
	/** Bytes that all sent beyond the payload that boxes needed / that payload: headers, talk, and what came twice. */
	readonly surplus: number;
	readonly pss: Bytes;
	readonly pssMost: Bytes;
}

export function figuresOf(
	{ done, source, boxes: sent, pss }: Outcome,
	{ boxes, floor }: Pick<Result, "boxes" | "floor">,
	size: Bytes,
	caps: Caps,
): Figures {
	const inTime = done.length === boxes;
	const last = inTime ? (done.at(-1) ?? NaN) : Number.POSITIVE_INFINITY;
	const carried = (source + sent) * 8;
	const could = ((caps.source + boxes * caps.up) * last) / 1000;
	return {
		last: last / floor,
		middle: median(done) / floor,
		source: source / size,
		busy: carried / could,
		surplus: (source + sent) / (boxes * size) - 1,
		pss: pss.median,
		pssMost: pss.most,
	};
}

/** Prints one table, and what its columns mean. */
export function show(
	results: readonly Result[],
	size: Bytes,
	caps: Caps,
): void {
	const rows = results.map((result) => {
		const all = result.runs.map((run) => figuresOf(run, result, size, caps));
		const of = (name: keyof Figures) => all.map((figures) => figures[name]);
		const late = of("last").some((last) => !Number.isFinite(last));
		const percent = (name: keyof Figures) =>
			`${Math.round(median(of(name)) * 100)} %`;
		const megabytes = (name: keyof Figures) =>
			threeFigures(median(of(name)) / 1e6);
		return [
			result.name,
			`${result.boxes}`,
			threeFigures(result.floor / 1000),
			late ? "not in time" : spread(of("last")),
			threeFigures(median(of("middle"))),
			threeFigures(median(of("source"))),
			late ? "–" : percent("busy"),
			late ? "–" : percent("surplus"),
			`${megabytes("pss")} / ${megabytes("pssMost")}`,
		];
	});
	const head = [
		...["", "boxes", "floor s", "last / floor", "middle / floor"],
		...["source / title", "uplinks busy", "surplus", "PSS MB"],
	];
	const right = head.map((_, i) => i).slice(1);
	console.log(`\n${table([head, ...rows], right).join("\n")}\n`);
	console.log(`Floor: max(F/us, F/d, N F/(us + N u)), were data a fluid and headers free (Kumar and Ross, 2006). last: from the source's first
bytes until the last box had all, verified; middle: the same of the box in the middle. source / title: what left the source, headers included.
uplinks busy: of what source and boxes could have sent in that time. surplus: what was sent beyond one copy for each box, headers included.
PSS: the peak of a box, the median of boxes and the highest. Medians (least–most) of runs.`);
}
