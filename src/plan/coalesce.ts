import {
	MISSES,
	type Misses,
	MOST_STARTS,
	MOST_WATCHED,
	type Watched,
} from "../wire/quality.ts";

/**
 * Puts one more entry to those that wait to be told. Sessions stay apart while they are few; then two of one title become one, and
 * when no two are of one title, the oldest goes.
 */
export function coalesce(
	waiting: readonly Watched[],
	entry: Watched,
): readonly Watched[] {
	if (waiting.length < MOST_WATCHED) return [...waiting, entry];
	const same = waiting.find(({ title }) => title === entry.title);
	if (same !== undefined)
		return waiting.map((each) => (each === same ? sumOf(same, entry) : each));
	for (const [index, one] of waiting.entries()) {
		const other = waiting.findLastIndex(({ title }) => title === one.title);
		const twin = waiting[other];
		if (other === index || twin === undefined) continue;
		const rest = waiting.filter((_, i) => i !== index && i !== other);
		return [...rest, sumOf(one, twin), entry];
	}
	return [...waiting.slice(1), entry];
}

/** Of one title. The bitrate is that of all that was shown. */
function sumOf(a: Watched, b: Watched): Watched {
	const played = a.played + b.played;
	const bits = a.bitrate * a.played + b.bitrate * b.played;
	const misses: Misses = {};
	for (const cause of MISSES) {
		const sum = (a.misses[cause] ?? 0) + (b.misses[cause] ?? 0);
		if (sum > 0) misses[cause] = sum;
	}
	const levels = Math.max(a.near?.length ?? 0, b.near?.length ?? 0);
	const near = Array.from(
		{ length: levels },
		(_, level) => (a.near?.[level] ?? 0) + (b.near?.[level] ?? 0),
	);
	return {
		...{ id: a.id, title: a.title, played, misses },
		starts: [...a.starts, ...b.starts].slice(-MOST_STARTS),
		stalls: a.stalls + b.stalls,
		stalled: a.stalled + b.stalled,
		seeks: a.seeks + b.seeks,
		switches: a.switches + b.switches,
		bitrate: played > 0 ? Math.round(bits / played) : 0,
		disk: a.disk + b.disk,
		neighbours: a.neighbours + b.neighbours,
		...(levels > 0 && { near }),
		origin: a.origin + b.origin,
	};
}
