import type { Reconciler } from "../act/fill/reconcile.ts";
import type { TitleLibrary } from "../act/play/library.ts";
import type { Log } from "../base/log.ts";
import type { Control, ControlHandlers, Order } from "../control/control.ts";
import type { Desired } from "../control/desired.ts";
import type { SignedHead } from "../control/heads.ts";
import type { CatalogReader } from "../logs/reader.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Head } from "../wire/head.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { TitleKeys } from "./keys.ts";
import type { Reporter } from "./reporter.ts";

export interface WishParts {
	readonly catalog: Pick<CatalogReader, "follow">;
	readonly swarm: Pick<Swarm, "headChanged" | "retell">;
	readonly reporter: Pick<Reporter, "accepted">;
	readonly reconciler: Pick<Reconciler, "place" | "purge">;
	readonly library: Pick<TitleLibrary, "shut">;
	readonly keys: Pick<TitleKeys, "forget">;
	readonly log: Log;
}

/**
 * Carries out what the operator says: placements, heads and commands. Messages may come before every part is open; they
 * wait for `begin`, in order.
 */
export class Wishes implements ControlHandlers {
	private readonly parts = Promise.withResolvers<WishParts>();
	private purged: ReadonlySet<TitleId> = new Set();
	private sharing: Head["policy"]["shareTransient"] | undefined;

	/** Every part is open; first comes what was in force before the restart. */
	begin(parts: WishParts, last: ReturnType<Control["last"]>): void {
		if (last.head !== undefined) this.follow(parts, last.head);
		if (last.placement !== undefined) this.place(parts, last.placement);
		this.parts.resolve(parts);
	}

	/** Whether the operator has taken a title back. */
	isPurged(id: TitleId): boolean {
		return this.purged.has(id);
	}

	placement(desired: Desired): void {
		void this.parts.promise.then((parts) => this.place(parts, desired));
	}

	head(head: SignedHead): void {
		void this.parts.promise.then((parts) => this.follow(parts, head));
	}

	async order(order: Order): Promise<void> {
		const { log } = await this.parts.promise;
		if (order.kind === "log-level") log.level = order.level;
	}

	private place(parts: WishParts, desired: Desired): void {
		const { reporter, reconciler, swarm } = parts;
		reporter.accepted(desired);
		reconciler.place(desired.titles);
		// Where all is shared anyway, a placement makes no difference to neighbours.
		if (this.sharing !== "now") swarm.retell();
	}

	private follow(parts: WishParts, { head }: SignedHead): void {
		const { catalog, swarm, log } = parts;
		const { key, length } = head.catalog;
		catalog.follow(key, length).catch((error: unknown) => {
			log.error({ err: error }, "the catalog cannot be followed");
		});
		swarm.headChanged();
		this.purge(parts, head.purged);
		const { shareTransient } = head.policy;
		// What is taken back is no longer placed.
		if (shareTransient !== "now" || shareTransient !== this.sharing)
			swarm.retell();
		this.sharing = shareTransient;
	}

	private purge(parts: WishParts, titles: readonly TitleId[]): void {
		const { reconciler, library, keys, log } = parts;
		const added = titles.filter((id) => !this.purged.has(id));
		if (added.length === 0 && titles.length === this.purged.size) return;
		this.purged = new Set(titles);
		reconciler.purge(titles);
		for (const id of added) {
			library.shut(id);
			keys.forget(id).catch((error: unknown) => {
				log.error({ err: error, title: short(id) }, "a key was not removed");
			});
		}
	}
}
