import type { Reconciler } from "../act/fill/reconcile.ts";
import type { Pacer } from "../act/pacer.ts";
import type { TitleLibrary } from "../act/play/library.ts";
import type { Log } from "../base/log.ts";
import { type Clock, MINUTE } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type {
	Brought,
	Control,
	ControlHandlers,
	Order,
} from "../control/control.ts";
import type { Desired } from "../control/desired.ts";
import type { Standing } from "../control/heads.ts";
import { COUNTERMAND, type Purged } from "../control/purges.ts";
import type { CatalogReader } from "../logs/reader.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Announcement } from "../wire/head.ts";
import type { TitleId } from "../wire/ids.ts";
import type { Groups } from "../wire/near.ts";
import type { Attests } from "./attests.ts";
import type { Household } from "./household/household.ts";
import type { Intake } from "./intake.ts";
import type { TitleKeys } from "./keys.ts";
import type { Lease } from "./lease.ts";
import type { Reporter } from "./reporter.ts";
import type { Support } from "./support.ts";
import type { Updater } from "./update/updater.ts";

/** A title that is given back is not evicted for so long: its placement may come after the head that gives it back. */
const GRACE: Millis = 10 * MINUTE;

export interface WishParts {
	readonly catalog: Pick<CatalogReader, "follow">;
	readonly swarm: Pick<Swarm, "headChanged" | "retell" | "renewed">;
	readonly reporter: Pick<Reporter, "accepted">;
	readonly reconciler: Pick<Reconciler, "place" | "purge">;
	readonly library: Pick<TitleLibrary, "shut">;
	readonly keys: Pick<TitleKeys, "forget">;
	readonly lease: Pick<Lease, "look" | "renew">;
	readonly attests: Pick<Attests, "look" | "acknowledged">;
	readonly updater: Pick<Updater, "order">;
	readonly household: Pick<Household, "replaced">;
	readonly intake: Pick<Intake, "reconsider">;
	/** What filling may take from the origin. */
	readonly trunk: Pick<Pacer, "rate">;
	readonly log: Log;
}

/**
 * Carries out what the operator says: placements, heads and commands. Messages may come before every part is open; they
 * wait for `begin`, in order.
 */
export class Wishes implements ControlHandlers {
	private readonly ran: Clock;
	private readonly support = Promise.withResolvers<Pick<Support, "make">>();
	private readonly parts = Promise.withResolvers<WishParts>();
	private purged: Purged = new Map();
	/** Titles that were given back a moment ago. */
	private readonly spared = new Set<TitleId>();
	/** The groups that neighbours were shown. */
	private near: Groups = [];
	private sharing: Announcement["policy"]["shareTransient"] | undefined;

	/** @param ran how long this box has run: src/agent/clock.ts */
	constructor(ran: Clock) {
		this.ran = ran;
	}

	/** Every part is open; first comes what was in force before the restart. */
	begin(
		parts: WishParts,
		{ standing, placement }: Pick<Control, "standing" | "placement">,
	): void {
		this.follow(parts, standing);
		if (placement !== undefined) this.place(parts, placement);
		this.parts.resolve(parts);
	}

	/** It is known how the box stands. */
	help(support: Pick<Support, "make">): void {
		this.support.resolve(support);
	}

	/** Whether a title that the operator took back may leave the disk: he has a day to think again. */
	mayRemove(id: TitleId): boolean {
		const obeyed = this.purged.get(id);
		return obeyed !== undefined && this.ran() >= obeyed.since + COUNTERMAND;
	}

	/** Whether a title stays on the disk whether it is placed or not: it is taken back and may be given back, or just was. */
	isSpared(id: TitleId): boolean {
		return this.purged.has(id) || this.spared.has(id);
	}

	placement(desired: Desired): void {
		void this.parts.promise.then((parts) => this.place(parts, desired));
	}

	head(standing: Standing): void {
		void this.parts.promise.then((parts) => this.follow(parts, standing));
	}

	connected(): void {
		void this.parts.promise.then(({ lease }) => lease.look());
	}

	async order(order: Order): Promise<Brought | undefined> {
		if (order.kind === "support") {
			const bundle = await (await this.support.promise).make();
			return { bundle: bundle.toString("base64") };
		}
		const { keys, lease, attests, updater, log } = await this.parts.promise;
		if (order.kind === "log-level") log.level = order.level;
		if (order.kind === "renew") await lease.renew();
		if (order.kind === "attested") await attests.acknowledged(order.at);
		if (order.kind === "key-revoked") await keys.forget(order.title);
		if (order.kind === "update") await updater.order(order);
		return undefined;
	}

	private place(parts: WishParts, desired: Desired): void {
		const { reporter, reconciler, swarm, household, intake } = parts;
		reporter.accepted(desired);
		reconciler.place(desired.titles);
		household.replaced();
		intake.reconsider();
		if (desired.near.join() !== this.near.join()) swarm.renewed();
		this.near = desired.near;
		// Where all is shared anyway, a placement makes no difference to neighbours.
		if (this.sharing !== "now") swarm.retell();
	}

	private follow(parts: WishParts, { announcement, purged }: Standing): void {
		const { swarm, attests } = parts;
		if (announcement !== undefined) this.hear(parts, announcement);
		swarm.headChanged();
		if (this.purge(parts, purged)) swarm.retell();
		void attests.look();
	}

	private hear(
		{ catalog, swarm, trunk, log }: WishParts,
		said: Announcement,
	): void {
		const { key, length } = said.catalog;
		catalog.follow(key, length).catch((error: unknown) => {
			log.error({ err: error }, "the catalog cannot be followed");
		});
		const { shareTransient, originRate = 0 } = said.policy;
		trunk.rate = originRate;
		if (shareTransient !== this.sharing) swarm.retell();
		this.sharing = shareTransient;
	}

	/** Whether titles were taken back, or given back. */
	private purge(parts: WishParts, purged: Purged): boolean {
		const { reconciler, library, keys, attests, log } = parts;
		const before = this.purged;
		this.purged = purged;
		const added = [...purged.keys()].filter((id) => !before.has(id));
		this.spare(
			parts,
			[...before.keys()].filter((id) => !purged.has(id)),
		);
		if (added.length === 0 && purged.size === before.size) return false;
		reconciler.purge([...purged.keys()]);
		for (const id of added) {
			library.shut(id);
			keys
				.forget(id)
				.then(() => attests.look())
				.catch((error: unknown) => {
					log.error({ err: error, title: id }, "a key was not removed");
				});
		}
		return true;
	}

	private spare({ reconciler }: WishParts, titles: readonly TitleId[]): void {
		if (titles.length === 0) return;
		for (const id of titles) this.spared.add(id);
		setTimeout(() => {
			for (const id of titles) this.spared.delete(id);
			// What is not placed by now makes room like anything else.
			reconciler.purge([...this.purged.keys()]);
		}, GRACE).unref();
	}
}
