import type { Log } from "../../base/log.ts";
import { monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { shardFileBytes } from "../../content/geometry.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Store } from "../ports.ts";
import type { Room } from "../room.ts";
import type { ShardPlace } from "./ask.ts";
import { ShardFetch, type ShardPorts } from "./shard.ts";
import { Sink } from "./sink.ts";
import type { Fetched } from "./wants.ts";

export interface SharedPorts extends Omit<ShardPorts, "onFreed"> {
	readonly store: Store;
	readonly room: Room;
	readonly log: Log;
}

/** A shard that somebody fetches, and what becomes of its blocks. */
export class SharedShard {
	readonly place: ShardPlace;
	readonly fetch: ShardFetch;
	private readonly ports: SharedPorts;
	private readonly sink: Sink;
	/** Whether what viewers fetch of it is kept; undefined until it is asked. */
	private kept: boolean | undefined;

	/** @param soughtAt since when its holders have been looked for */
	constructor(
		place: ShardPlace,
		soughtAt: Millis,
		ports: SharedPorts & Pick<ShardPorts, "onFreed">,
	) {
		const { store, room, backlog } = ports;
		const onDisk = store.leaves(place.title, place.shard);
		this.place = place;
		this.ports = ports;
		this.fetch = new ShardFetch(place, onDisk, soughtAt, ports);
		this.sink = new Sink(place, store, room, backlog);
	}

	/** Whether the streaming share has room for the shard, which is decided once, and the disk takes writes. */
	get isKept(): boolean {
		if (!this.ports.store.takesWrites) return false;
		const { title, shard, manifest } = this.place;
		const bytes = shardFileBytes(manifest, shard);
		this.kept ??= this.ports.room.make(title, shard, bytes);
		return this.kept;
	}

	/** A block that is just being written: nobody need fetch it again. */
	writing(block: number): ReturnType<Sink["writing"]> {
		return this.sink.writing(block);
	}

	/** Writes a block that was just given. Rejects with what the store says. */
	write(block: number, got: Fetched): Promise<void> {
		return this.sink.put(this.fetch.knownLeaves, block, got);
	}

	/** Writes a block that a viewer got, if there is room: a full, slow or failing disk does not stop the film. */
	keep(block: number, got: Fetched): void {
		if (!this.isKept || this.ports.backlog.overflowing) return;
		this.write(block, got).catch((error: unknown) => {
			if (this.kept !== true) return;
			this.kept = false;
			this.ports.log.warn(
				{ err: error, shard: this.place.shard },
				"what is watched is not kept",
			);
		});
	}

	/** Resolves when no write is under way. */
	settled(): Promise<void> {
		return this.sink.settled();
	}
}

/** Who did not find a shard's holders so recently need not wait for them once more. */
const SOUGHT: Millis = 30 * SECOND;

/**
 * The shards that are being fetched, each by one fetch for all who want it.
 * Invariant: `all` has exactly the shards with users or writes under way, and each is in use in the room;
 * `sought` has those taken within SOUGHT, oldest first, each with the time of the first of those takes.
 */
export class SharedShards {
	private readonly ports: SharedPorts;
	private readonly all = new Map<
		string,
		{ readonly shard: SharedShard; readonly unpin: () => void; users: number }
	>();

	private readonly sought = new Map<string, Millis>();

	constructor(ports: SharedPorts) {
		this.ports = ports;
	}

	/** Each call is paired with a `release`. */
	take(place: ShardPlace): SharedShard {
		const key = keyOf(place);
		let entry = this.all.get(key);
		if (entry === undefined) {
			const ports = { ...this.ports, onFreed: this.offer };
			const shard = new SharedShard(place, this.seek(key), ports);
			const unpin = this.ports.room.use(place.title, place.shard);
			entry = { shard, unpin, users: 0 };
			this.all.set(key, entry);
		}
		entry.users++;
		return entry.shard;
	}

	release(shard: SharedShard): void {
		const key = keyOf(shard.place);
		const entry = this.all.get(key);
		if (entry === undefined || --entry.users > 0) return;
		void shard.settled().then(() => {
			if (entry.users > 0 || this.all.get(key) !== entry) return;
			this.all.delete(key);
			entry.unpin();
		});
	}

	has(title: TitleId): boolean {
		for (const { shard } of this.all.values()) {
			if (shard.place.title === title) return true;
		}
		return false;
	}

	/** Since when the holders of a shard have been looked for. */
	private seek(key: string): Millis {
		const now = monotonic();
		for (const [oldest, at] of this.sought) {
			if (now - at < SOUGHT) break;
			this.sought.delete(oldest);
		}
		const at = this.sought.get(key) ?? now;
		this.sought.set(key, at);
		return at;
	}

	/** A neighbour is free: who has waited longest takes first. */
	private readonly offer: ShardPorts["onFreed"] = (whom) => {
		for (const { shard } of this.all.values()) {
			const { fetch } = shard;
			if (!fetch.isCrowded) continue;
			if (whom === "anybody" || fetch.isWatched) fetch.wake();
		}
	};

	/** A neighbour told something of those meant, or came or went. */
	news(isMeant: (place: ShardPlace) => boolean): void {
		for (const { shard } of this.all.values()) {
			if (isMeant(shard.place)) shard.fetch.news();
		}
	}

	/** Something changed for those meant: they look again. */
	wake(isMeant: (place: ShardPlace) => boolean): void {
		for (const { shard } of this.all.values()) {
			if (isMeant(shard.place)) shard.fetch.wake();
		}
	}
}

function keyOf({ title, shard }: ShardPlace): string {
	return `${title}/${shard}`;
}
