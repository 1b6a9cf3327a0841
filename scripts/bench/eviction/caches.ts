import type { Bytes } from "../../../src/base/units.ts";
import { Transients } from "../../../src/plan/transients.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { type Request, seededRandom } from "./trace.ts";

/** What one box keeps. */
export interface Cache {
	has(key: number): boolean;
	/** A viewer reads a shard that is not there; it is kept, whatever has to go. Gives the keys of what went. */
	keep(request: Request): readonly number[];
	/** A viewer reads a shard that is there. */
	hit(request: Request): void;
	/** A neighbour was given a shard. */
	gave?(request: Request): void;
	/** So many neighbours hold a shard that is here. */
	told?(request: Request, copies: number): void;
	restart?(): void;
}

export type MakeCache = (limit: Bytes) => Cache;

/** Evicts the least of an order that a number for each shard gives, which changes when the shard is read. */
abstract class Counted implements Cache {
	protected readonly sizes = new Map<number, Bytes>();
	private readonly limit: Bytes;
	private bytes: Bytes = 0;

	constructor(limit: Bytes) {
		this.limit = limit;
	}

	has(key: number): boolean {
		return this.sizes.has(key);
	}

	keep({ key, bytes }: Request): readonly number[] {
		const gone: number[] = [];
		while (this.bytes + bytes > this.limit && this.sizes.size > 0) {
			const next = this.next();
			this.bytes -= this.sizes.get(next) ?? 0;
			this.sizes.delete(next);
			gone.push(next);
		}
		this.sizes.set(key, bytes);
		this.bytes += bytes;
		return gone;
	}

	abstract hit(request: Request): void;

	/** The key of the one to go. */
	protected abstract next(): number;
}

/** The one read longest ago goes: what Larder did before. */
export class Lru extends Counted {
	hit({ key }: Request): void {
		const bytes = this.sizes.get(key) ?? 0;
		this.sizes.delete(key);
		this.sizes.set(key, bytes);
	}

	protected next(): number {
		const [first = -1] = this.sizes.keys();
		return first;
	}
}

/** The one read least often since it came goes, and of those the one read longest ago. */
export class Lfu extends Counted {
	private readonly counts = new Map<number, number>();
	private readonly byCount: Set<number>[] = [];

	override keep(request: Request): readonly number[] {
		const gone = super.keep(request);
		this.count(request.key, 1);
		return gone;
	}

	hit({ key }: Request): void {
		const count = this.counts.get(key) ?? 0;
		this.byCount[count]?.delete(key);
		this.count(key, count + 1);
	}

	protected next(): number {
		const [first = -1] = this.byCount.find((keys) => keys.size > 0) ?? [];
		this.byCount[this.counts.get(first) ?? 0]?.delete(first);
		this.counts.delete(first);
		return first;
	}

	private count(key: number, count: number): void {
		while (this.byCount.length <= count) this.byCount.push(new Set());
		this.byCount[count]?.add(key);
		this.counts.set(key, count);
	}
}

/** A hand goes from the oldest to the newest and takes the first that was not read since it passed (Y. Zhang et al., SIEVE, NSDI 2024). */
export class Sieve extends Counted {
	private readonly read = new Set<number>();
	private hand = this.sizes.keys();

	hit({ key }: Request): void {
		this.read.add(key);
	}

	protected next(): number {
		for (;;) {
			const { value, done } = this.hand.next();
			// Beyond the newest the hand begins anew.
			if (done) this.hand = this.sizes.keys();
			else if (!this.read.delete(value)) return value;
		}
	}
}

/** What a box does: the agent's own code. */
export class Larder implements Cache {
	private readonly limit: Bytes;
	private readonly random: () => number;
	private readonly keys = new Map<string, number>();
	private readonly held = new Set<number>();

	private transients: Transients;

	constructor(limit: Bytes, seed: number) {
		this.limit = limit;
		this.random = seededRandom(seed);
		this.transients = new Transients(this.random);
	}

	has(key: number): boolean {
		return this.held.has(key);
	}

	keep(request: Request): readonly number[] {
		const { title, shard, bytes, key, at } = request;
		const excess = this.transients.bytes + bytes - this.limit;
		const { going } = this.transients.plan(excess, at, () => false);
		const gone: number[] = [];
		for (const { title, shard } of going) {
			this.transients.delete(title, shard);
			const name = `${title}/${shard}`;
			gone.push(this.keys.get(name) ?? -1);
			this.held.delete(this.keys.get(name) ?? -1);
			this.keys.delete(name);
		}
		const id = idOf(title);
		this.keys.set(`${id}/${shard}`, key);
		this.held.add(key);
		this.transients.add(id, shard, bytes);
		this.transients.read(id, shard, at);
		return gone;
	}

	hit({ title, shard, at }: Request): void {
		this.transients.read(idOf(title), shard, at);
	}

	gave({ title, at }: Request): void {
		this.transients.gave(idOf(title), at);
	}

	told({ title, shard }: Request, copies: number): void {
		this.transients.told(idOf(title), shard, copies);
	}

	/** Knows what is on the disk, in order, and nothing else. */
	restart(): void {
		const shards = [...this.transients].sort((a, b) => a.shard - b.shard);
		this.transients = new Transients(this.random);
		for (const { title, shard, bytes } of shards)
			this.transients.add(title, shard, bytes);
	}
}

function idOf(title: number): TitleId {
	return `${title}` as TitleId;
}
