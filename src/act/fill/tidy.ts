import type { Log } from "../../base/log.ts";
import { MINUTE, monotonic } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Store } from "../ports.ts";

/** A title of which nothing but the manifest is there, and which nobody wants, is kept for so long. */
const EMPTY_KEPT: Millis = 10 * MINUTE;

export interface TidyPorts {
	readonly store: Store;
	/** Whether a title is placed, played or fetched. */
	readonly isWanted: (id: TitleId) => boolean;
	/** Whether a title that is taken back may go already. */
	readonly mayRemove: (id: TitleId) => boolean;
	/** It is off the disk: what belongs to it elsewhere may go, too. */
	readonly onRemoved: (id: TitleId) => void;
	readonly log: Log;
}

/** Removes titles that the operator purged, and what is left of titles that were watched once. */
export class Tidy {
	private readonly ports: TidyPorts;
	private readonly emptySince = new Map<TitleId, Millis>();
	private readonly removing = new Set<TitleId>();

	constructor(ports: TidyPorts) {
		this.ports = ports;
	}

	/** Looks at every title on disk. */
	sweep(purged: ReadonlySet<TitleId>): void {
		const { store, isWanted, mayRemove } = this.ports;
		const now = monotonic();
		const seen = new Set(store.titles());
		for (const id of seen) {
			if (purged.has(id)) {
				if (mayRemove(id)) this.remove(id, "purged");
			} else if (isWanted(id) || !this.isEmpty(id)) this.emptySince.delete(id);
			else {
				const since = this.emptySince.get(id) ?? now;
				this.emptySince.set(id, since);
				if (now - since >= EMPTY_KEPT) this.remove(id, "empty");
			}
		}
		for (const id of this.emptySince.keys()) {
			if (!seen.has(id)) this.emptySince.delete(id);
		}
	}

	private isEmpty(id: TitleId): boolean {
		const inventory = this.ports.store.inventory(id);
		return (
			inventory === undefined ||
			(inventory.held.count === 0 && inventory.partial.length === 0)
		);
	}

	private remove(id: TitleId, why: string): void {
		if (this.removing.has(id)) return;
		this.removing.add(id);
		const { store, onRemoved, log } = this.ports;
		store
			.removeTitle(id)
			.then(
				() => {
					log.info({ title: id, why }, "title removed");
					onRemoved(id);
				},
				(error: unknown) => {
					log.error({ err: error, title: id }, "a title was not removed");
				},
			)
			.finally(() => this.removing.delete(id));
	}
}
