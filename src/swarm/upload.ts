import type { Message } from "protomux";
import type { Pacer } from "../act/pacer.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import { type Bytes, KiB, type Millis, type Rate } from "../base/units.ts";
import {
	type ExchangeChunk,
	type ExchangeRefusal,
	type ExchangeRequest,
	MAX_CHUNK,
	MAX_RUN,
	type Refusal,
} from "../wire/exchange.ts";
import type { TitleId } from "../wire/ids.ts";
import { Lane } from "./lane.ts";
import type { Underway } from "./underway.ts";

/** What a box gives to neighbours. Everything is ciphertext or signed. */
export interface Shelf {
	manifest(id: TitleId): Promise<Buffer | undefined>;
	holders(id: TitleId): Promise<Buffer | undefined>;
	leaves(id: TitleId, shard: number): Promise<Buffer | undefined>;
	/** Blocks end to end, and the size of one. */
	blocks(
		id: TitleId,
		shard: number,
		first: number,
		count: number,
	): Promise<{ bytes: Buffer; blockSize: Bytes } | undefined>;
}

/** Of a node that holds no titles. */
export const EMPTY_SHELF: Shelf = {
	manifest: async () => undefined,
	holders: async () => undefined,
	leaves: async () => undefined,
	blocks: async () => undefined,
};

export interface UploadPorts {
	readonly shelf: Shelf;
	readonly pacer: Pacer;
	/** Whether the neighbour is one that holds titles, and so may ask for them. */
	readonly holds: boolean;
	/** Why this box gives nothing now; undefined while it does. */
	readonly refusal: () => Withheld | undefined;
	/** How many other neighbours say that they hold a block, of a title that this box watches. */
	readonly others: (id: TitleId, shard: number, block: number) => number;
	/** The neighbour wants something. */
	readonly onWanted: () => void;
	readonly onSent: (bytes: Bytes) => void;
	readonly onOffence: (slug: string) => void;
	readonly log: Log;
}

/** Under a limit a chunk is what passes in this time: as long as an urgent one may have to wait, and the rest of what leaves after a stop. */
const CHUNK_SECONDS = 0.05;
/** Smaller ones would cost more than they bring. */
const LEAST_CHUNK: Bytes = 4 * KiB;
/**
 * What others hold, too, waits so much longer for each of them, up to so many: a crowd that watches what few have yet then gets it from one
 * another, and who can only get it here, and is to pass it on, gets it soon.
 */
const ELSEWHERE: Millis = 0.15 * SECOND;
const MOST_ELSEWHERE = 3;
/** Requests that one neighbour may have waiting: twice what the largest window holds in the smallest blocks. */
const MAX_WAITING = 2048;

/** Why a box gives nothing: it is about to sleep, or its household needs the uplink. */
export type Withheld = Extract<Refusal, "leaving" | "busy">;

type Answer =
	| { readonly bytes: Buffer; readonly blockSize: Bytes }
	| { readonly refusal: Refusal };

/**
 * Serves one neighbour over one connection: what a viewer waits for in one lane, fill in another that waits for it.
 * Invariant: each lane has at most one chunk that has not left yet, and nothing is sent that the neighbour does not read.
 */
export class Upload {
	private readonly chunks: Message<ExchangeChunk>;
	private readonly refusals: Message<ExchangeRefusal>;
	private readonly underway: Underway;
	private readonly ports: UploadPorts;
	private readonly urgent = new Lane((...job) => this.serve(...job));
	private readonly fill = new Lane((...job) => this.serve(...job));
	/** Answers read from disk while the one before is being sent. */
	private readonly ahead = new WeakMap<ExchangeRequest, Promise<Answer>>();
	private closed = false;
	private draining: PromiseWithResolvers<void> | undefined;

	constructor(
		chunks: Message<ExchangeChunk>,
		refusals: Message<ExchangeRefusal>,
		underway: Underway,
		ports: UploadPorts,
	) {
		this.chunks = chunks;
		this.refusals = refusals;
		this.underway = underway;
		this.ports = ports;
	}

	accept(request: ExchangeRequest): void {
		if (this.closed) return;
		const { id } = request;
		if (!this.ports.holds) {
			this.ports.onOffence("role");
		} else if (this.urgent.size + this.fill.size >= MAX_WAITING) {
			this.ports.onOffence("flood");
		} else if (this.urgent.has(id) || this.fill.has(id)) {
			this.ports.onOffence("reused-id");
		} else {
			this.ports.onWanted();
			const lane = request.urgent ? this.urgent : this.fill;
			lane.add(request)?.catch((error: unknown) => {
				this.ports.log.error({ err: error }, "serving a neighbour failed");
			});
		}
	}

	/** Nothing of a cancelled request leaves after the chunk in flight. */
	cancel(id: number): void {
		this.urgent.delete(id);
		this.fill.delete(id);
	}

	/** This box gives nothing from now on: whoever waits hears at once to ask somebody else. */
	refuse(reason: Withheld): void {
		for (const lane of [this.urgent, this.fill]) {
			for (const id of lane.ids) this.refusals.send({ id, reason });
			lane.clear();
		}
	}

	/** The connection takes more. */
	drain(): void {
		this.draining?.resolve();
		this.draining = undefined;
	}

	close(): void {
		this.closed = true;
		this.underway.close();
		this.urgent.clear();
		this.fill.clear();
		this.drain();
	}

	private async serve(
		request: ExchangeRequest,
		signal: AbortSignal,
		next: ExchangeRequest | undefined,
	): Promise<void> {
		const { id, urgent } = request;
		const answer = await (this.ahead.get(request) ?? this.prepare(request));
		if (next?.wanted === "blocks") this.ahead.set(next, this.prepare(next));
		if ("refusal" in answer) {
			if (!signal.aborted) {
				await this.flow(this.refusals.send({ id, reason: answer.refusal }));
			}
			return;
		}
		const { bytes, blockSize } = answer;
		const { pacer } = this.ports;
		const patience = this.patienceOf(request);
		const { hasRoom } = this.underway;
		for (let at = 0; at < bytes.length; ) {
			if (!urgent) await this.urgent.idle;
			const step = chunkAt(pacer.rate, blockSize);
			const part = bytes.subarray(at, at + step);
			await pacer.take(part.length, urgent, { signal, patience, hasRoom });
			if (signal.aborted) return;
			const chunk = { id, offset: at, total: bytes.length, bytes: part };
			const flowing = this.chunks.send(chunk);
			this.underway.add(part.length);
			this.ports.onSent(part.length);
			at += part.length;
			await this.flow(flowing);
		}
	}

	private patienceOf({ title, shard, first }: ExchangeRequest): Millis {
		const others = this.ports.others(title, shard, first);
		return ELSEWHERE * Math.min(others, MOST_ELSEWHERE);
	}

	/** Never rejects: what fails is refused. */
	private async prepare(request: ExchangeRequest): Promise<Answer> {
		const { wanted, title, shard, first, count } = request;
		const { shelf, log } = this.ports;
		const refusal = this.ports.refusal();
		if (refusal !== undefined) return { refusal };
		try {
			if (wanted === "blocks") {
				if (count < 1 || count > MAX_RUN) return { refusal: "bad-request" };
				const blocks = await shelf.blocks(title, shard, first, count);
				return blocks ?? { refusal: "not-held" };
			}
			const bytes =
				wanted === "leaves"
					? await shelf.leaves(title, shard)
					: await shelf[wanted](title);
			return bytes?.length
				? { bytes, blockSize: 64 * KiB }
				: { refusal: "not-held" };
		} catch (error) {
			log.warn({ err: error, title }, "a read failed");
			return { refusal: "disk" };
		}
	}

	/** Waits until the connection takes more, unless it does already. */
	private async flow(flowing: boolean): Promise<void> {
		if (flowing || this.closed) return;
		this.draining ??= Promise.withResolvers();
		await this.draining.promise;
	}
}

function chunkAt(rate: Rate, blockSize: Bytes): Bytes {
	if (rate === 0) return MAX_CHUNK;
	const paced = Math.floor(rate * CHUNK_SECONDS);
	return Math.min(MAX_CHUNK, blockSize, Math.max(LEAST_CHUNK, paced));
}
