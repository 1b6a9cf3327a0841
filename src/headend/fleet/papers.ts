import { above, type Clock } from "../../base/time.ts";
import { KiB } from "../../base/units.ts";
import { placedTitles, tableOf } from "../../plan/assignment.ts";
import type { Assignment } from "../../plan/placement.ts";
import { seal } from "../../wire/envelope.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import { encodeMessage } from "../../wire/json.ts";
import type {
	HolderTable,
	Placement,
	PlacementBody,
} from "../../wire/placement.ts";
import type { Operator } from "../operator/operator.ts";
import { says, sha256, type Table, type Told } from "./wishes.ts";

/** A larger body is a file at the origin: brokers and small boxes choke on long messages. */
const MAX_INLINE = 128 * KiB;

type Signing = Pick<Operator, "network" | "region" | "epoch" | "signers">;

/** What one box is told, and the body that must lie at the origin before it is. */
export interface NewlyTold extends Told {
	readonly body: Buffer | undefined;
}

/** Signs the holder tables of those titles whose table would not say the same as the one before. */
export function signTables(
	operator: Signing,
	holders: Assignment,
	before: ReadonlyMap<TitleId, Table>,
	now: Clock,
): Table[] {
	const { network, region, epoch, signers } = operator;
	const tables: Table[] = [];
	for (const [title, rows] of holders) {
		const last = before.get(title);
		const current = last?.epoch === epoch ? last : undefined;
		if (current !== undefined && says(current, rows)) continue;
		const version = above(current?.version, now());
		const table = { ...tableOf(rows), title, epoch, version };
		const envelope = seal(signers.placement, {
			network,
			region,
			...table,
		} satisfies HolderTable);
		tables.push({ ...table, envelope });
	}
	return tables;
}

/** Signs the placements of those boxes that are to be told something new, boxes that lose their last shard too. */
export function signPlacements(
	operator: Signing,
	holders: Assignment,
	before: ReadonlyMap<BoxId, Omit<Told, "envelope">>,
	now: Clock,
): NewlyTold[] {
	const { network, region, epoch, signers } = operator;
	const placed = placedTitles(holders);
	const told: NewlyTold[] = [];
	for (const box of new Set([...placed.keys(), ...before.keys()])) {
		const titles = [...(placed.get(box) ?? [])];
		const bytes = encodeMessage({ titles } satisfies PlacementBody);
		const digest = sha256(bytes);
		const last = before.get(box);
		const current = last?.epoch === epoch ? last : undefined;
		if (current?.sha256 === digest) continue;
		const rev = above(current?.rev, now());
		const inline = bytes.byteLength <= MAX_INLINE;
		const body = inline
			? { titles }
			: {
					ref: `placement/${digest}`,
					sha256: digest,
					size: bytes.byteLength,
				};
		const placement = { network, box, region, epoch, rev, body };
		told.push({
			box,
			epoch,
			rev,
			sha256: digest,
			envelope: seal(signers.placement, placement satisfies Placement),
			body: inline ? undefined : bytes,
		});
	}
	return told;
}
