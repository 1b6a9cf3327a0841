import type { Reconciler } from "../act/fill/reconcile.ts";
import type { TitleLibrary } from "../act/play/library.ts";
import type { Log } from "../base/log.ts";
import type { Control, ControlHandlers, Order } from "../control/control.ts";
import type { Desired } from "../control/desired.ts";
import type { SignedHead } from "../control/heads.ts";
import type { CatalogReader } from "../logs/reader.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { TitleKeys } from "./keys.ts";
import type { Reporter } from "./reporter.ts";

export interface WishParts {
	readonly catalog: CatalogReader;
	readonly swarm: Swarm;
	readonly reporter: Reporter;
	readonly reconciler: Reconciler;
	readonly library: TitleLibrary;
	readonly keys: TitleKeys;
	readonly log: Log;
}

/**
 * Carries out what the operator says: placements, heads and commands. Messages may come before every part is open; they
 * wait for `begin`, in order.
 */
export class Wishes implements ControlHandlers {
	private readonly parts = Promise.withResolvers<WishParts>();
	private purged: ReadonlySet<TitleId> = new Set();

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

	private place({ reporter, reconciler }: WishParts, desired: Desired): void {
		reporter.accepted(desired);
		reconciler.place(desired.titles);
	}

	private follow(parts: WishParts, { head }: SignedHead): void {
		const { catalog, swarm, log } = parts;
		const { key, length } = head.catalog;
		catalog.follow(key, length).catch((error: unknown) => {
			log.error({ err: error }, "the catalog cannot be followed");
		});
		swarm.headChanged();
		this.purge(parts, head.purged);
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
