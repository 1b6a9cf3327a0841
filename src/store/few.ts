/**
 * A map by shard that is nearly always empty: there are some for each of thousands of titles, and an empty Map takes as much memory as
 * one with a few entries. It takes some from its first entry to its last.
 */
export class Few<T> {
	private map: Map<number, T> | undefined;

	get(shard: number): T | undefined {
		return this.map?.get(shard);
	}

	has(shard: number): boolean {
		return this.map?.has(shard) ?? false;
	}

	set(shard: number, value: T): void {
		this.map ??= new Map();
		this.map.set(shard, value);
	}

	/** Whether there was one. */
	delete(shard: number): boolean {
		const had = this.map?.delete(shard) ?? false;
		if (this.map?.size === 0) this.map = undefined;
		return had;
	}

	/** Of those that are there now. */
	keys(): readonly number[] {
		return [...(this.map?.keys() ?? [])];
	}

	values(): readonly T[] {
		return [...(this.map?.values() ?? [])];
	}

	entries(): readonly (readonly [number, T])[] {
		return [...(this.map ?? [])];
	}
}
