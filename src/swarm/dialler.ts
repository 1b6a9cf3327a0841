import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";
import type { PrivateDht } from "./dht.ts";
import type { GuardedStream } from "./guard.ts";

/** Holders dialled at a time, beyond the neighbours that the topic brings. */
export const MAX_DIALLED = 32;
/** So many are dialled at once; from then on one for each shard, and the next if that one has not given it within so long. */
const FREELY = MAX_DIALLED / 2;
const EACH: Millis = SECOND;
/** One that was of no use for so long makes room when there is none. */
const SPARE: Millis = 2 * SECOND;
/** A box is not dialled again before. */
const AGAIN: Millis = 10 * SECOND;
/** One that was dialled for one title and is idle makes room for others. */
const IDLE: Millis = 60 * SECOND;

export interface DiallerOptions {
	readonly dht: PrivateDht;
	readonly keyPair: KeyPair;
	/** Whether there is no use in dialling this box: it is here already, is this one, or stays away. */
	readonly isPointless: (box: BoxId) => boolean;
	/** When a neighbour was last used, by the monotonic clock; undefined while it is none. */
	readonly lastUsed: (box: BoxId) => Millis | undefined;
	readonly onStream: (stream: GuardedStream) => void;
	readonly log: Log;
}

/**
 * Dials holders that a holder table names, by key over the DHT.
 * Invariants: `dialled` holds what this box dialled and what is still open or opening, at most MAX_DIALLED; `tried` holds
 * boxes dialled within AGAIN and at most as many others as one sweep leaves.
 */
export class Dialler {
	private readonly options: DiallerOptions;
	private readonly dialled = new Map<BoxId, GuardedStream>();
	private readonly tried = new Map<BoxId, Millis>();
	private closed = false;

	constructor(options: DiallerOptions) {
		this.options = options;
	}

	has(box: BoxId): boolean {
		return this.dialled.has(box);
	}

	/** @param boxes holders of one thing, of which the first are preferred */
	dial(boxes: readonly BoxId[]): void {
		const now = monotonic();
		const isComing = (box: BoxId) => {
			const tried = this.tried.get(box);
			return tried !== undefined && now - tried < EACH;
		};
		for (const box of boxes) {
			if (this.closed) return;
			if (this.dialled.size >= FREELY && boxes.some(isComing)) return;
			if (this.dialled.has(box) || this.options.isPointless(box)) continue;
			const tried = this.tried.get(box);
			if (tried !== undefined && now - tried < AGAIN) continue;
			if (this.dialled.size >= MAX_DIALLED && !this.makeRoom(now)) return;
			this.tried.set(box, now);
			this.open(box);
		}
	}

	/** Ends what has long been idle, and forgets what was long ago. */
	sweep(): void {
		const now = monotonic();
		for (const [box, at] of this.tried) {
			if (now - at >= AGAIN) this.tried.delete(box);
		}
		for (const [box, stream] of this.dialled) {
			const used = this.options.lastUsed(box);
			if (used !== undefined && now - used > IDLE) stream.destroy();
		}
	}

	/** What was tried before says nothing any more. */
	forget(): void {
		this.tried.clear();
	}

	close(): void {
		this.closed = true;
		for (const stream of this.dialled.values()) stream.destroy();
	}

	/** False when all that were dialled may be needed yet. */
	private makeRoom(now: Millis): boolean {
		let idlest: BoxId | undefined;
		let since = now - SPARE;
		for (const box of this.dialled.keys()) {
			const used = this.options.lastUsed(box);
			if (used === undefined || used >= since) continue;
			idlest = box;
			since = used;
		}
		if (idlest === undefined) return false;
		this.dialled.get(idlest)?.destroy();
		this.dialled.delete(idlest);
		return true;
	}

	private open(box: BoxId): void {
		const { dht, keyPair, onStream, log } = this.options;
		const stream = dht.connect(Buffer.from(box, "hex"), {
			keyPair: { publicKey: keyPair.publicKey, secretKey: secretKey(keyPair) },
		});
		this.dialled.set(box, stream);
		stream.on("open", () => onStream(stream));
		stream.on("error", (err) => {
			log.debug({ err, box: short(box) }, "dialling a holder failed");
		});
		stream.on("close", () => {
			if (this.dialled.get(box) === stream) this.dialled.delete(box);
		});
	}
}
