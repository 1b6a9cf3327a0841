import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { grantOf, unsealParsed } from "../../wire/envelope.ts";
import { type Bans, bans, type Head, isNewer } from "../../wire/head.ts";
import { type BoxId, short, type TitleId } from "../../wire/ids.ts";
import { type Audit, type Change, HEADEND } from "../audit.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Purges } from "../fleet/purges.ts";
import type { Operator } from "../operator/operator.ts";
import type { HeadWriter } from "./heads.ts";

export interface RecallOptions {
	readonly operator: Pick<Operator, "network" | "region" | "trust">;
	readonly heads: Pick<HeadWriter, "banned" | "head">;
	readonly fleet: Pick<Fleet, "revoke" | "readmit" | "missing">;
	readonly purges: Pick<Purges, "missing" | "adopt" | "disown">;
	/** Bans that were only heard of, under keys below a serial. */
	readonly heardBelow: (
		serial: number,
	) => Promise<{ readonly boxes: BoxId[]; readonly titles: TitleId[] }>;
	readonly audit: Audit;
	/** Whether a box is the operator's. */
	readonly knows: (box: BoxId) => boolean;
	/** Other boxes that are in under a box's serial. */
	readonly rivals: (box: BoxId) => Promise<readonly BoxId[]>;
	/** Something was taken up, these boxes among it: the region is to hear of it. */
	readonly onRecalled: (boxes: readonly BoxId[]) => Promise<void>;
	/** Something counts no more, and these boxes are in again; the region hears it with the next head. */
	readonly onDropped: (boxes: readonly BoxId[]) => Promise<void>;
	/** What this headend did not say was said with a key of its own: newer than what it said. */
	readonly onForged: (said: Bans, serial: number) => void;
	readonly log: Log;
}

/**
 * Hears what the region was told of bans. A headend that has not spoken in its epoch yet was restored, from a backup that may know
 * less: what it hears is taken up, so that nobody comes back who was shut out since, and no title that was taken back. It stands for as
 * long as the key counts under which it was heard, or a person says the same. A headend that has spoken knows what it said: whatever is
 * newer is forged. Invariant: one statement is dealt with at a time.
 */
export class Recall {
	private readonly options: RecallOptions;
	private turn: Promise<void> = Promise.resolve();
	/** The signature of the last statement that was looked at: neighbours say the same again and again. */
	private last: string | undefined;

	constructor(options: RecallOptions) {
		this.options = options;
	}

	/** A head from anywhere. Resolves when what it says is dealt with; never rejects. */
	hear({ bans: said }: Head): Promise<void> {
		if (said === undefined || said.signature === this.last) return this.turn;
		this.last = said.signature;
		const { operator, heads, onForged, log } = this.options;
		const read = unsealParsed(said, "revoke", bans, operator.trust);
		if (!read.ok) {
			log.debug({ slug: read.reason }, "bans that are not ours");
			return this.turn;
		}
		const heard = read.value;
		if (heard.network !== operator.network || heard.region !== operator.region)
			return this.turn;
		const serial = serialOf(said.grant);
		const mine = heads.banned;
		if (mine === undefined) return this.inTurn(() => this.adopt(heard, serial));
		if (heads.head?.bans?.signature === said.signature) return this.turn;
		if (!isNewer(mine, heard)) onForged(heard, serial);
		else if (heard.epoch < mine.epoch)
			return this.inTurn(() => this.compare(heard));
		return this.turn;
	}

	/** Takes up what this headend itself said last: the fleet database may have been lost. Never rejects. */
	relearn(): Promise<void> {
		return this.inTurn(async () => {
			const mine = this.options.heads.banned;
			if (mine !== undefined) await this.adopt(mine);
		});
	}

	/** Drops what was only heard of, under keys that are retired by now. Rejects as the database does. */
	async dropRetired(): Promise<void> {
		const work = this.turn.then(() => this.drop());
		this.turn = work.catch(() => undefined);
		await work;
	}

	async close(): Promise<void> {
		await this.turn;
	}

	/** @param serial of the key under which it was heard; undefined for this headend's own word */
	private async adopt(said: Bans, serial?: number): Promise<void> {
		const { fleet, purges, knows, log } = this.options;
		const { epoch, version } = said;
		const by = serial === undefined ? "" : ` by key ${serial}`;
		const why = `the region was told so${by}, epoch ${epoch} version ${version}`;
		const boxes = (await fleet.missing(said)).filter(knows);
		const titles = await purges.missing(said.purged);
		for (const box of boxes) {
			log.warn({ box: short(box), epoch, version }, "shut out once more");
			await this.change({ action: "revoke", subject: box, why }, () =>
				fleet.revoke(box, why, serial),
			);
		}
		for (const order of titles) {
			const { title } = order;
			log.warn({ title: short(title), epoch, version }, "taken back once more");
			await this.change({ action: "purge", subject: title, why }, () =>
				purges.adopt(order, why, serial),
			);
		}
		if (boxes.length + titles.length > 0) await this.options.onRecalled(boxes);
	}

	/** A box that was away brings bans of an earlier epoch. It is too late to take them up: by now a thief may have signed them. */
	private async compare(said: Bans): Promise<void> {
		const { fleet, purges, knows, log } = this.options;
		const boxes = (await fleet.missing(said)).filter(knows);
		const titles = await purges.missing(said.purged);
		if (boxes.length + titles.length === 0) return;
		log.error(
			{
				...{ epoch: said.epoch, version: said.version },
				boxes: boxes.slice(0, 10).map(short),
				titles: titles.slice(0, 10).map(({ title }) => short(title)),
			},
			`before the restore ${boxes.length} more boxes were shut out and ${titles.length} more titles taken back: if that is right, larder revoke and larder purge say so again`,
		);
	}

	private async drop(): Promise<void> {
		const { operator, heardBelow, fleet, purges, log } = this.options;
		const least = operator.trust.minimum.get("revoke") ?? 0;
		const { boxes, titles } = await heardBelow(least);
		if (boxes.length + titles.length === 0) return;
		const why = "it was only heard of, by a key that is retired";
		const back: BoxId[] = [];
		for (const box of boxes) {
			const [rival] = await this.options.rivals(box);
			if (rival === undefined) {
				log.warn({ box: short(box) }, `let in again: ${why}`);
				await this.change({ action: "revoke-undo", subject: box, why }, () =>
					fleet.readmit(box),
				);
				back.push(box);
			} else {
				const stays = `its serial was given to ${short(rival)}`;
				await this.change({ action: "revoke", subject: box, why: stays }, () =>
					fleet.revoke(box, stays),
				);
			}
		}
		for (const title of titles) {
			log.warn({ title: short(title) }, `given back: ${why}`);
			await this.change({ action: "purge-undo", subject: title, why }, () =>
				purges.disown(title),
			);
		}
		await this.options.onDropped(back);
	}

	private async change(
		change: Change,
		work: () => Promise<unknown>,
	): Promise<void> {
		await this.options.audit.carryOut(HEADEND, change, work);
	}

	private inTurn(work: () => Promise<void>): Promise<void> {
		this.turn = this.turn.then(work).catch((error: unknown) => {
			this.last = undefined;
			this.options.log.error({}, `bans were not taken up: ${describe(error)}`);
		});
		return this.turn;
	}
}

function serialOf(grant: Parameters<typeof grantOf>[0]): number {
	const read = grantOf(grant);
	return read.ok ? read.value.serial : 0;
}
