/**
 * A set from which some can be drawn at a cost that does not depend on how many there are.
 * Invariant: `slots` has the index in `items` of each of them.
 */
export class Pool<T> {
	private readonly items: T[] = [];
	private readonly slots = new Map<T, number>();
	private readonly random: () => number;

	/** @param random in [0, 1) */
	constructor(random: () => number) {
		this.random = random;
	}

	get size(): number {
		return this.items.length;
	}

	add(item: T): void {
		if (this.slots.has(item)) return;
		this.put(item, this.items.length);
	}

	delete(item: T): void {
		const slot = this.slots.get(item);
		if (slot === undefined) return;
		const last = this.items.pop();
		this.slots.delete(item);
		if (last !== undefined && last !== item) this.put(last, slot);
	}

	/**
	 * Up to `count` at random, none of them twice. With `after`, none of the so many that were drawn last, as long as
	 * nothing came or went: so all can be drawn, some at a time.
	 */
	draw(count: number, after = 0): readonly T[] {
		const end = Math.min(this.items.length, after + count);
		for (let slot = after; slot < end; slot++) {
			const rest = this.items.length - slot;
			this.swap(slot, slot + Math.floor(this.random() * rest));
		}
		return this.items.slice(after, end);
	}

	private swap(a: number, b: number): void {
		const [one, other] = [this.items[a], this.items[b]];
		if (a === b || one === undefined || other === undefined) return;
		this.put(one, b);
		this.put(other, a);
	}

	private put(item: T, slot: number): void {
		this.items[slot] = item;
		this.slots.set(item, slot);
	}
}
