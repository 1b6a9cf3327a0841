import { HOUR, SECOND } from "../../base/time.ts";
import type { Bytes, Millis } from "../../base/units.ts";
import { quantile, START_BOUNDS } from "../../plan/histogram.ts";
import type { Region, TitleId } from "../../wire/ids.ts";
import { LEVELS } from "../../wire/near.ts";
import { MISSES, type Misses } from "../../wire/quality.ts";
import type { Statements } from "./database.ts";
import { missName, nearName, type Sums, startName } from "./quality.ts";

/** How a title was to watch in a region. Metrics as in CTA-2066. */
export interface QualityView {
	/** Of title and region together. */
	readonly id: string;
	readonly region: Region;
	readonly title: TitleId;
	/** Sessions that came to show something. */
	readonly starts: number;
	/** Video start-up time in seconds, of half and of 95 % of them; null when there were none. */
	readonly startP50: number | null;
	readonly startP95: number | null;
	readonly played: Millis;
	readonly stalls: number;
	readonly stalled: Millis;
	/** Rebuffering ratio: stalled / (played + stalled); null when nothing was shown. */
	readonly rebuffering: number | null;
	/** Rebuffering events for each hour that was shown; null when nothing was. */
	readonly stallsPerHour: number | null;
	readonly seeks: number;
	readonly switches: number;
	/** Bits a second on average of what was shown. */
	readonly bitrate: number;
	readonly disk: Bytes;
	readonly neighbours: Bytes;
	/** Of those by level, nearest first. */
	readonly near: readonly Bytes[];
	readonly origin: Bytes;
	readonly misses: Misses;
}

/** By title and region, from so many hours before `now` on; what was watched most first. */
export async function qualityViews(
	db: Statements,
	hours: number,
	now: Millis,
): Promise<QualityView[]> {
	const { rows } = await db.query<{
		region: Region;
		title: TitleId;
		sums: Sums;
	}>(
		`SELECT region, title, jsonb_object_agg(name, sum) AS sums FROM (
			SELECT region, title, name, least(sum(value::numeric), ${Number.MAX_SAFE_INTEGER}) AS sum
			FROM quality, jsonb_each_text(sums) AS each(name, value) WHERE hour > $1 GROUP BY region, title, name
		) AS named GROUP BY region, title`,
		[Math.floor(now / HOUR) - hours],
	);
	return rows
		.map(({ region, title, sums }) => viewOf(region, title, sums))
		.toSorted((a, b) => b.played - a.played || (a.id < b.id ? -1 : 1));
}

function viewOf(region: Region, title: TitleId, sums: Sums): QualityView {
	const of = (name: string) => sums[name] ?? 0;
	const buckets = [...START_BOUNDS, Infinity].map((_, i) => of(startName(i)));
	const [played, stalls, stalled] = [of("played"), of("stalls"), of("stalled")];
	const misses: Misses = {};
	for (const cause of MISSES) {
		const count = of(missName(cause));
		if (count > 0) misses[cause] = count;
	}
	return {
		...{ id: `${title} ${region}`, region, title },
		starts: buckets.reduce((sum, count) => sum + count, 0),
		startP50: quantile(buckets, START_BOUNDS, 0.5) ?? null,
		startP95: quantile(buckets, START_BOUNDS, 0.95) ?? null,
		...{ played, stalls, stalled },
		rebuffering: played > 0 ? stalled / (played + stalled) : null,
		stallsPerHour: played > 0 ? (stalls * HOUR) / played : null,
		...{ seeks: of("seeks"), switches: of("switches") },
		bitrate: played > 0 ? Math.round(of("bits") / (played / SECOND)) : 0,
		...{ disk: of("disk"), neighbours: of("neighbours") },
		near: Array.from({ length: LEVELS }, (_, level) => of(nearName(level))),
		...{ origin: of("origin"), misses },
	};
}
