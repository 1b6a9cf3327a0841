import type { Millis } from "../../base/units.ts";
import type { BoxId } from "../../wire/ids.ts";
import {
	counters,
	type Fill,
	type Reported,
	type State,
} from "../../wire/reports.ts";
import type { Issued } from "../operator/issue.ts";
import type { Statements } from "./database.ts";

// One statement for a whole batch, its rows in one JSON value: a thousand reports cost about as much as one.

/** Boxes that are there already stay as they are. */
export async function addBoxes(
	statements: Statements,
	boxes: readonly Issued[],
	now: Millis,
): Promise<void> {
	if (boxes.length === 0) return;
	await statements.query(
		`INSERT INTO boxes (id, serial, region, issued_at, first_seen, turned_at)
		SELECT box, serial, region, "issuedAt", $2, $2
		FROM jsonb_to_recordset($1::jsonb) AS r(box text, serial text, region text, "issuedAt" bigint)
		ON CONFLICT (id) DO NOTHING`,
		[JSON.stringify(boxes), now],
	);
}

/**
 * A will counts only for the session that is on record: a late one must not end a newer session. It was written when the box
 * connected, so its reach, its household's part and what it says of an update are older than what the box may have found since.
 */
export async function writeStates(
	statements: Statements,
	states: readonly (readonly [BoxId, State])[],
	now: Millis,
): Promise<void> {
	if (states.length === 0) return;
	await statements.query(
		`UPDATE boxes SET session = r.session, online = r.online, since = r.since, power = r.power, version = r.version,
			reach = CASE WHEN r.online OR boxes.reach IS NULL THEN r.reach ELSE boxes.reach END,
			part = CASE WHEN r.online OR boxes.part IS NULL THEN r.part ELSE boxes.part END,
			target = r.target,
			update_version = CASE WHEN r.online THEN r.update->>'version' ELSE boxes.update_version END,
			update_phase = CASE WHEN r.online THEN r.update->>'phase' ELSE boxes.update_phase END,
			update_code = CASE WHEN r.online THEN r.update->>'code' ELSE boxes.update_code END,
			turned_at = CASE WHEN boxes.online = r.online THEN boxes.turned_at ELSE $2 END
		FROM jsonb_to_recordset($1::jsonb) AS r(box text, session text, online boolean, since bigint, power text, reach text, version text,
			part text, target text, update jsonb)
		WHERE boxes.id = r.box AND (r.online OR NOT boxes.online OR boxes.session = r.session)`,
		[JSON.stringify(states.map(([box, state]) => ({ ...state, box }))), now],
	);
}

export async function writeReports(
	statements: Statements,
	reports: readonly (readonly [BoxId, Reported])[],
	now: Millis,
): Promise<void> {
	if (reports.length === 0) return;
	await statements.query(
		`INSERT INTO reports (box, epoch, rev, phase, code, detail, missing_bytes, received_at)
		SELECT box, epoch, rev, phase, code, detail, "missingBytes", $2
		FROM jsonb_to_recordset($1::jsonb)
			AS r(box text, epoch bigint, rev bigint, phase text, code text, detail text, "missingBytes" bigint)
		ON CONFLICT (box) DO UPDATE SET epoch = excluded.epoch, rev = excluded.rev, phase = excluded.phase, code = excluded.code,
			detail = excluded.detail, missing_bytes = excluded.missing_bytes, received_at = excluded.received_at`,
		[JSON.stringify(reports.map(([box, said]) => ({ ...said, box }))), now],
	);
}

const COUNTERS = Object.keys(counters.shape);
/** `{"a": 1}` and `{"a": 2}` to `{"a": 3}`, for every counter; what a box claims in session after session leads no further than a number goes. */
const SUM = `jsonb_build_object(${COUNTERS.map(
	(name) =>
		`'${name}', least(coalesce((fills.past->>'${name}')::bigint, 0) + coalesce((fills.counters->>'${name}')::bigint, 0), ${Number.MAX_SAFE_INTEGER})`,
).join(", ")})`;

/** What a box says in a fill report, by the column that keeps it. */
const SAID = {
	capacity: ["capacity", "bigint"],
	streaming_share: ["streamingShare", "bigint"],
	used: ["usedSpace", "bigint"],
	reserved: ["reservedSpace", "bigint"],
	reserve: ["reserve", "bigint"],
	transient: ["transientBytes", "bigint"],
	placed: ["placedBytes", "bigint"],
	held: ["heldBytes", "bigint"],
	missing: ["missingBytes", "bigint"],
	neighbours: ["neighbours", "integer"],
	counters: ["counters", "jsonb"],
	titles: ["titles", "jsonb"],
	wear: ["wear", "jsonb"],
	written: ["written", "jsonb"],
	disk: ["disk", "jsonb"],
} as const satisfies Record<string, readonly [keyof Fill, string]>;
const COLUMNS = Object.keys(SAID);
const FIELDS = Object.values(SAID);

/** A new session begins its counters at nothing; what the one before had counted goes to `past`. Trouble that goes on keeps its beginning. */
export async function writeFills(
	statements: Statements,
	fills: readonly (readonly [BoxId, Fill])[],
	now: Millis,
): Promise<void> {
	if (fills.length === 0) return;
	await statements.query(
		`INSERT INTO fills (box, session, received_at, past, disk_at, missing_at, ${COLUMNS.join(", ")})
		SELECT box, session, $2::bigint, '{}', $2::bigint, CASE WHEN "missingBytes" > 0 THEN $2::bigint END, ${FIELDS.map(([name]) => `"${name}"`).join(", ")}
		FROM jsonb_to_recordset($1::jsonb)
			AS r(box text, session text, ${FIELDS.map(([name, type]) => `"${name}" ${type}`).join(", ")})
		ON CONFLICT (box) DO UPDATE SET session = excluded.session, received_at = excluded.received_at,
			${COLUMNS.map((name) => `${name} = excluded.${name}`).join(", ")},
			disk_at = CASE WHEN fills.disk->>'state' = excluded.disk->>'state' THEN fills.disk_at ELSE excluded.disk_at END,
			missing_at = CASE WHEN excluded.missing > 0 THEN coalesce(fills.missing_at, excluded.missing_at) END,
			past = CASE WHEN fills.session = excluded.session THEN fills.past ELSE ${SUM} END`,
		[JSON.stringify(fills.map(([box, fill]) => ({ ...fill, box }))), now],
	);
}
