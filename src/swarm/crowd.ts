interface Guest {
	readonly address: string;
	readonly load: number;
	readonly drop: () => void;
}

/**
 * Those who share what there is little of, each with what it takes of it. When it is too much, the one that has been there longest
 * of the address that takes most makes room: turning newcomers away instead would let a few who stay keep everybody out.
 * Invariant: all take at most `most`, those of one address at most `mostOfOne`; in the order in which they came.
 */
export class Crowd {
	private readonly most: number;
	private readonly mostOfOne: number;
	private readonly guests = new Map<object, Guest>();

	constructor(most: number, mostOfOne = most) {
		this.most = most;
		this.mostOfOne = mostOfOne;
	}

	/** Somebody came, or came further. `drop` ends it to make room, maybe at once. */
	enter(who: object, address: string, drop: () => void, load = 1): void {
		this.guests.set(who, { address, load, drop });
		for (;;) {
			const longest = this.surplus();
			if (longest === undefined) return;
			const guest = this.guests.get(longest);
			this.leave(longest);
			guest?.drop();
		}
	}

	/** It takes nothing any more. */
	leave(who: object): void {
		this.guests.delete(who);
	}

	/** Who is to make room; undefined when there is enough. */
	private surplus(): object | undefined {
		let all = 0;
		const addresses = new Map<string, { load: number; longest: object }>();
		for (const [who, { address, load }] of this.guests) {
			all += load;
			const crowd = addresses.get(address);
			if (crowd !== undefined) crowd.load += load;
			else addresses.set(address, { load, longest: who });
		}
		let largest = { load: 0, longest: undefined as object | undefined };
		for (const crowd of addresses.values()) {
			if (crowd.load > largest.load) largest = crowd;
		}
		const isEnough = all <= this.most && largest.load <= this.mostOfOne;
		return isEnough ? undefined : largest.longest;
	}
}
