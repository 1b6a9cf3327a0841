import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { unsealParsed } from "../../wire/envelope.ts";
import { type Bans, bans, type Head, isNewer } from "../../wire/head.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import { type Audit, HEADEND } from "../audit.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Purges } from "../fleet/purges.ts";
import type { Operator } from "../operator/operator.ts";
import type { HeadWriter } from "./heads.ts";

export interface RecallOptions {
	readonly operator: Pick<Operator, "network" | "region" | "epoch" | "trust">;
	readonly heads: Pick<HeadWriter, "banned">;
	readonly fleet: Pick<Fleet, "revoke" | "revoked">;
	readonly purges: Pick<Purges, "missing" | "adopt">;
	readonly audit: Audit;
	/** Whether a box is the operator's. */
	readonly knows: (box: BoxId) => boolean;
	/** Something was taken up, these boxes among it: the region is to hear of it. */
	readonly onRecalled: (boxes: readonly BoxId[]) => Promise<void>;
	readonly log: Log;
}

/**
 * Hears what the region knows of bans that the fleet database does not: after a restore from an older backup nobody who was
 * shut out may come back, and no title that was taken back. What bears the signature of the operator's own keys is
 * believed, of whichever epoch. Invariant: one statement at a time.
 */
export class Recall {
	private readonly options: RecallOptions;
	private turn: Promise<void> = Promise.resolve();
	/** The signature of the last statement that was looked at: neighbours say the same again and again. */
	private last: string | undefined;

	constructor(options: RecallOptions) {
		this.options = options;
	}

	/** A head from anywhere. Resolves when what it says is in force; never rejects. */
	hear({ bans: said }: Head): Promise<void> {
		if (said === undefined || said.signature === this.last) return this.turn;
		this.last = said.signature;
		const { operator, log } = this.options;
		const read = unsealParsed(said, "revoke", bans, operator.trust);
		if (!read.ok) {
			log.debug({ slug: read.reason }, "bans that are not ours");
			return this.turn;
		}
		const { network, region } = read.value;
		if (network !== operator.network || region !== operator.region)
			return this.turn;
		this.turn = this.turn
			.then(() => this.take(read.value))
			.catch((error: unknown) => {
				this.last = undefined;
				log.error({}, `bans were not taken up: ${describe(error)}`);
			});
		return this.turn;
	}

	async close(): Promise<void> {
		await this.turn;
	}

	private async take(said: Bans): Promise<void> {
		const { operator, heads, fleet, purges, audit, knows, log } = this.options;
		const { epoch, version } = said;
		const mine = heads.banned;
		if (mine?.epoch === epoch && mine.version === version) return;
		if (epoch === operator.epoch && mine !== undefined && isNewer(said, mine))
			log.warn(
				{ epoch, version },
				"bans that this headend did not sign: its folder was set back, or another has its keys",
			);
		const why = `the region was told so by epoch ${epoch} version ${version}`;
		const out = new Set(await fleet.revoked());
		const boxes = said.revoked.filter((box) => !out.has(box) && knows(box));
		const titles = await purges.missing(said.purged, mine?.version);
		for (const box of boxes) {
			log.warn({ box: short(box), epoch, version }, "shut out once more");
			await audit.carryOut(
				HEADEND,
				{ action: "revoke", subject: box, why },
				() => fleet.revoke(box, why),
			);
		}
		for (const order of titles) {
			const { title } = order;
			log.warn({ title: short(title), epoch, version }, "taken back once more");
			await audit.carryOut(
				HEADEND,
				{ action: "purge", subject: title, why },
				() => purges.adopt(order, why),
			);
		}
		if (boxes.length + titles.length > 0) await this.options.onRecalled(boxes);
	}
}
