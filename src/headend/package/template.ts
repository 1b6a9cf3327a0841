/** What the identifiers of a DASH template stand for (ISO/IEC 23009-1, 5.3.9.4.4). */
export interface TemplateValues {
	readonly RepresentationID: string;
	readonly Bandwidth: string;
	readonly Number?: string;
	readonly Time?: string;
}

/** One run of equal segments of a SegmentTimeline: `S@t`, `S@d`, `S@r`. In timescale units, which may pass 2^53. */
export interface TimelineRun {
	readonly t: bigint | undefined;
	readonly d: bigint;
	/** How often the run repeats after its first; -1: until the next run or the end. */
	readonly r: number;
}

/** More segments in one rendition are taken for a mistake: 55 hours of one-second segments. */
export const MAX_SEGMENTS = 200_000;

/** A segment's name from its template. Undefined when the template uses an identifier that is not among the values. */
export function expand(
	template: string,
	values: TemplateValues,
): string | undefined {
	let complete = true;
	const name = template.replace(
		/\$(?:([A-Za-z]+)(?:%0(\d+)d)?)?\$/g,
		(whole, identifier?: string, width?: string) => {
			if (whole === "$$") return "$";
			const value = lookUp(values, identifier);
			if (value === undefined) complete = false;
			return (value ?? "").padStart(Number(width ?? 0), "0");
		},
	);
	return complete ? name : undefined;
}

function lookUp(
	values: TemplateValues,
	identifier: string | undefined,
): string | undefined {
	switch (identifier) {
		case "RepresentationID":
		case "Bandwidth":
		case "Number":
		case "Time":
			return values[identifier];
		default:
			return undefined;
	}
}

/**
 * The start times of all segments of a timeline.
 * @param end of the period in timescale units, for runs that repeat until then; undefined when not known
 * @returns undefined when the timeline makes no sense, has no end or too many segments
 */
export function timesOf(
	runs: readonly TimelineRun[],
	end: bigint | undefined,
): bigint[] | undefined {
	const times: bigint[] = [];
	let at = 0n;
	for (const [index, { t, d, r }] of runs.entries()) {
		at = t ?? at;
		if (d <= 0n) return undefined;
		const until = runs[index + 1]?.t ?? end;
		if (r < 0 && until === undefined) return undefined;
		const count =
			r < 0 && until !== undefined ? Number((until - at + d - 1n) / d) : r + 1;
		if (times.length + count > MAX_SEGMENTS) return undefined;
		for (let i = 0; i < count; i++, at += d) times.push(at);
	}
	return times;
}

/** Seconds of an ISO 8601 duration such as `PT1H2M3.5S`; undefined when it is none. */
export function secondsOf(text: string | undefined): number | undefined {
	const match =
		/^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d*)?)S)?)?$/.exec(
			text ?? "",
		);
	if (match === null) return undefined;
	const [years = 0, months = 0, days = 0, hours = 0, minutes = 0, seconds = 0] =
		match.slice(1).map((part) => Number(part ?? 0));
	return (
		((years * 365 + months * 30 + days) * 24 + hours) * 3600 +
		minutes * 60 +
		seconds
	);
}
