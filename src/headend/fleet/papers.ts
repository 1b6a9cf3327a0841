import { above, type Clock, DAY, SECOND } from "../../base/time.ts";
import { KiB } from "../../base/units.ts";
import { placedTitles, tableOf } from "../../plan/assignment.ts";
import type { Assignment } from "../../plan/placement.ts";
import { envelope, seal } from "../../wire/envelope.ts";
import { type BoxId, short, type TitleId } from "../../wire/ids.ts";
import { encodeMessage, parseMessage } from "../../wire/json.ts";
import type { Groups } from "../../wire/near.ts";
import {
	type HolderTable,
	type Placement,
	type PlacementBody,
	placement,
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

/** Signs the holder tables of those titles whose table would not say the same as the one before, or is of an earlier key. */
export function signTables(
	operator: Signing,
	holders: Assignment,
	before: ReadonlyMap<TitleId, Table>,
	now: Clock,
): Table[] {
	const { network, region, epoch, signers } = operator;
	const keySerial = signers.placement.granted.serial;
	const tables: Table[] = [];
	for (const [title, rows] of holders) {
		const last = before.get(title);
		const current = last?.epoch === epoch ? last : undefined;
		// That of a title that is given back may be of an earlier key.
		const isInForce = current?.keySerial === keySerial;
		if (current && isInForce && says(current, rows)) continue;
		const version = above(last?.version, now());
		const table = { ...tableOf(rows), title, epoch, version };
		const said = { network, region, ...table } satisfies HolderTable;
		const sealed = seal(signers.placement, said);
		tables.push({ ...table, envelope: sealed, keySerial });
	}
	return tables;
}

/**
 * Signs the placements of those boxes that are to be told something new, boxes that lose their last shard or hold none too.
 * @param followed the newest rev that each box says it follows: one above what it was told is of before a restore, or forged
 * @param groups those that boxes are in
 */
export function signPlacements(
	operator: Signing,
	holders: Assignment,
	before: ReadonlyMap<BoxId, Omit<Told, "envelope">>,
	followed: ReadonlyMap<BoxId, number>,
	groups: ReadonlyMap<BoxId, Groups>,
	now: Clock,
): NewlyTold[] {
	const { network, region, epoch, signers } = operator;
	// It is the box's own word, and one that claims more would not obey what is above that.
	const believed = (now() + DAY) / SECOND;
	const placed = placedTitles(holders);
	const told: NewlyTold[] = [];
	const all = [placed, before, groups].flatMap((boxes) => [...boxes.keys()]);
	for (const box of new Set(all)) {
		const near = groups.get(box);
		const titles = [...(placed.get(box) ?? [])];
		const whole: PlacementBody = { titles, ...(near && { near: [...near] }) };
		const bytes = encodeMessage(whole);
		const digest = sha256(bytes);
		const last = before.get(box);
		const current = last?.epoch === epoch ? last : undefined;
		const said = followed.get(box) ?? 0;
		const followedRev = said <= believed ? said : 0;
		if (current?.sha256 === digest && current.rev >= followedRev) continue;
		const rev = above(Math.max(last?.rev ?? 0, followedRev), now());
		const inline = bytes.byteLength <= MAX_INLINE;
		const body = inline
			? whole
			: {
					ref: `placement/${digest}`,
					sha256: digest,
					size: bytes.byteLength,
				};
		const wish = { network, box, region, epoch, rev, body };
		told.push({
			box,
			epoch,
			rev,
			sha256: digest,
			envelope: seal(signers.placement, wish satisfies Placement),
			keySerial: signers.placement.granted.serial,
			body: inline ? undefined : bytes,
		});
	}
	return told;
}

/** The same holder table, above the last one and signed by the present key. */
export function renewTable(
	{ network, region, epoch, signers }: Signing,
	{ title, boxes, shards, ...last }: Table,
	now: Clock,
): Table {
	const version = above(last.version, now());
	const table = { title, epoch, version, boxes, shards };
	const said = { network, region, ...table } satisfies HolderTable;
	const keySerial = signers.placement.granted.serial;
	return { ...table, envelope: seal(signers.placement, said), keySerial };
}

/** The same placement, above the last one and signed by the present key. Throws when what was kept is none. */
export function renewPlacement(
	{ signers }: Signing,
	last: Told,
	now: Clock,
): Told {
	const rev = above(last.rev, now());
	const said = { ...saidBy(last), rev } satisfies Placement;
	const keySerial = signers.placement.granted.serial;
	return { ...last, rev, envelope: seal(signers.placement, said), keySerial };
}

/** Unchecked: the key that signed it may be retired, and the database is the headend's own. */
function saidBy({ box, envelope: bytes }: Told): Placement {
	const outer = parseMessage(envelope, bytes);
	const read = outer.ok
		? parseMessage(placement, Buffer.from(outer.value.payload, "base64"))
		: outer;
	if (read.ok) return read.value;
	throw new Error(`the placement of box ${short(box)}: ${read.detail}`);
}
