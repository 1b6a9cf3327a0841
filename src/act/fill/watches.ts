import type { TitleId } from "../../wire/ids.ts";

/** Titles that neighbours are asked about at a time. */
const WATCHED = 128;

/** The titles that neighbours are asked about. */
export class Watches {
	private readonly watch: (id: TitleId) => () => void;
	private readonly ends = new Map<TitleId, () => void>();

	/** @param watch begins to ask; the function given back ends it */
	constructor(watch: (id: TitleId) => () => void) {
		this.watch = watch;
	}

	has(id: TitleId): boolean {
		return this.ends.has(id);
	}

	/** These and no others, the first of them if they are many. */
	set(titles: readonly TitleId[]): void {
		const wanted = new Set<TitleId>();
		for (const title of titles) {
			if (wanted.size < WATCHED) wanted.add(title);
		}
		for (const [id, unwatch] of this.ends) {
			if (wanted.has(id)) continue;
			unwatch();
			this.ends.delete(id);
		}
		for (const id of wanted) {
			if (!this.ends.has(id)) this.ends.set(id, this.watch(id));
		}
	}
}
