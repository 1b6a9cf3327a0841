import type { Millis } from "../../base/units.ts";
import { COUNTERMAND } from "../../control/purges.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import type { Statements } from "./database.ts";

/** What is known of a box and a title that was taken back. `fault`: it attested that nothing is left, and then had it again. */
export type Standing = "deleted" | "hidden" | "waiting" | "fault";

/** A box that is not known to have deleted a title. */
export interface Straggler {
	readonly box: BoxId;
	readonly serial: string;
	readonly state: Exclude<Standing, "deleted">;
	readonly online: boolean;
	/** By the headend's clock: since when it is online, or away. */
	readonly turnedAt: Millis;
}

/** A title that is taken back, and how far it is gone. Boxes that are shut out cannot be asked and are not counted. */
export interface PurgeView {
	readonly id: TitleId;
	/** Null for one that was only heard of. */
	readonly name: string | null;
	readonly assetId: string | null;
	readonly at: Millis;
	readonly why: string | null;
	/** Until then it may be given back. */
	readonly final: Millis;
	/** When key and files were removed at the headend. */
	readonly removedAt: Millis | null;
	readonly deleted: number;
	readonly hidden: number;
	readonly waiting: number;
	readonly faults: number;
	/** The worst first, at most as many as were asked for. */
	readonly stragglers: readonly Straggler[];
}

/** What stands for every title that is taken back and every box that is not shut out. */
const STANDINGS = `
	WITH orders AS (
		SELECT title, at FROM purges WHERE countermanded_at IS NULL AND ($1::text IS NULL OR title = $1) ORDER BY at DESC, title LIMIT $2
	), holding AS (
		SELECT DISTINCT box, said->>'id' AS title, received_at FROM fills, jsonb_array_elements(titles) AS said
		WHERE (said->>'held')::integer > 0 AND said->>'id' IN (SELECT title FROM orders)
	), standings AS (
		SELECT orders.title, boxes.id AS box, serial, online, turned_at,
			CASE WHEN deleted_at IS NULL THEN coalesce(state, 'waiting')
				WHEN state = 'hidden' OR holding.received_at > deleted_at THEN 'fault' ELSE 'deleted' END AS state
		FROM orders CROSS JOIN boxes
			LEFT JOIN attests ON attests.title = orders.title AND attests.box = boxes.id AND attests.ordered = orders.at
			LEFT JOIN holding ON holding.title = orders.title AND holding.box = boxes.id
		WHERE revoked_at IS NULL
	)`;

/**
 * Newest order first.
 * @param limits at most so many titles, and boxes of each
 */
export async function purgeViews(
	db: Statements,
	limits: { readonly titles: number; readonly boxes: number },
	title?: TitleId,
): Promise<PurgeView[]> {
	const asked = [title ?? null, limits.titles];
	const { rows } = await db.query<Omit<PurgeView, "stragglers">>(
		`${STANDINGS}
		SELECT purges.title AS id, name, asset_id AS "assetId", purges.at, why, purges.at + $3::bigint AS final, removed_at AS "removedAt",
			(count(*) FILTER (WHERE state = 'deleted'))::integer AS deleted, (count(*) FILTER (WHERE state = 'hidden'))::integer AS hidden,
			(count(*) FILTER (WHERE state = 'waiting'))::integer AS waiting, (count(*) FILTER (WHERE state = 'fault'))::integer AS faults
		FROM orders JOIN purges ON purges.title = orders.title LEFT JOIN standings ON standings.title = purges.title
		GROUP BY purges.title ORDER BY purges.at DESC, purges.title`,
		[...asked, COUNTERMAND],
	);
	const late = await db.query<Straggler & { title: TitleId }>(
		`${STANDINGS}, ranked AS (
			SELECT *, row_number() OVER (PARTITION BY title ORDER BY state, turned_at, box) AS place FROM standings WHERE state <> 'deleted'
		)
		SELECT title, box, serial, state, online, turned_at AS "turnedAt" FROM ranked WHERE place <= $3 ORDER BY title, place`,
		[...asked, limits.boxes],
	);
	const stragglers = Map.groupBy(late.rows, (row) => row.title);
	return rows.map((row) => ({
		...row,
		stragglers: (stragglers.get(row.id) ?? []).map(
			({ title: _, ...straggler }) => straggler,
		),
	}));
}
