import type { Message } from "protomux";
import type { Pacer } from "../act/pacer.ts";
import type { Log } from "../base/log.ts";
import { KiB } from "../base/units.ts";
import {
	type ExchangeChunk,
	type ExchangeRefusal,
	type ExchangeRequest,
	MAX_RUN,
	type Refusal,
} from "../wire/exchange.ts";
import { short, type TitleId } from "../wire/ids.ts";

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
	): Promise<{ bytes: Buffer; blockSize: number } | undefined>;
}

/** Requests that one neighbour may have waiting. Beyond it: `busy`. */
const MAX_WAITING = 512;
/** Answers read from disk ahead of what is being sent. */
const READ_AHEAD = 3;
const CHUNK = 256 * KiB;

interface Job {
	readonly request: ExchangeRequest;
	answer: Promise<Answer> | undefined;
}

type Answer = { readonly bytes: Buffer; readonly blockSize: number } | Refusal;

/**
 * Serves one neighbour: urgent requests first, one chunk at a time through the box's pacer.
 * Invariant: at most one `work` loop runs; a job is in a lane or in the hands of that loop.
 */
export class Upload {
	private readonly shelf: Shelf;
	private readonly pacer: Pacer;
	private readonly log: Log;
	private readonly chunks: Message<ExchangeChunk>;
	private readonly refusals: Message<ExchangeRefusal>;
	private readonly onSent: (bytes: number) => void;
	private readonly urgent: Job[] = [];
	private readonly fill: Job[] = [];
	private cancelled = new Set<number>();
	private working = false;
	private closed = false;
	private drained: (() => void) | undefined;

	constructor(
		shelf: Shelf,
		pacer: Pacer,
		chunks: Message<ExchangeChunk>,
		refusals: Message<ExchangeRefusal>,
		onSent: (bytes: number) => void,
		log: Log,
	) {
		this.shelf = shelf;
		this.pacer = pacer;
		this.chunks = chunks;
		this.refusals = refusals;
		this.onSent = onSent;
		this.log = log;
	}

	accept(request: ExchangeRequest): void {
		if (this.closed) return;
		if (
			request.wanted === "blocks" &&
			(request.count < 1 || request.count > MAX_RUN)
		) {
			this.refuse(request.id, "bad-request");
			return;
		}
		if (this.urgent.length + this.fill.length >= MAX_WAITING) {
			this.refuse(request.id, "busy");
			return;
		}
		const lane = request.urgent ? this.urgent : this.fill;
		lane.push({ request, answer: undefined });
		this.start();
	}

	/** Nothing of a cancelled request leaves after the chunk in flight. */
	cancel(id: number): void {
		for (const lane of [this.urgent, this.fill]) {
			const at = lane.findIndex((job) => job.request.id === id);
			if (at >= 0) {
				lane.splice(at, 1);
				return;
			}
		}
		if (this.working) this.cancelled.add(id);
	}

	/** The connection takes more. */
	drain(): void {
		this.drained?.();
		this.drained = undefined;
	}

	close(): void {
		this.closed = true;
		this.urgent.length = 0;
		this.fill.length = 0;
		this.drain();
	}

	private start(): void {
		if (this.working) return;
		this.working = true;
		this.work().catch((error: unknown) => {
			this.log.error({ err: error }, "serving a neighbour failed");
			this.working = false;
		});
	}

	private async work(): Promise<void> {
		for (let job = this.next(); job !== undefined; job = this.next()) {
			this.readAhead();
			await this.serve(job);
			this.cancelled.clear();
		}
		this.working = false;
	}

	private next(): Job | undefined {
		return this.urgent.shift() ?? this.fill.shift();
	}

	private readAhead(): void {
		const lane = this.urgent.length > 0 ? this.urgent : this.fill;
		for (const job of lane.slice(0, READ_AHEAD)) {
			job.answer ??= this.prepare(job.request);
		}
	}

	private async serve({ request, answer }: Job): Promise<void> {
		const ready = await (answer ?? this.prepare(request));
		if (typeof ready === "string") {
			this.refuse(request.id, ready);
			return;
		}
		const { bytes, blockSize } = ready;
		// Under a limit one block at a time, so that an urgent one waits for one block at most.
		const step = this.pacer.rate > 0 ? blockSize : Math.max(CHUNK, blockSize);
		for (let at = 0; at < bytes.length; at += step) {
			const part = bytes.subarray(at, at + step);
			await this.pacer.take(part.length, request.urgent);
			if (this.closed || this.cancelled.has(request.id)) return;
			const chunk = {
				id: request.id,
				offset: at,
				total: bytes.length,
				bytes: part,
			};
			const flowing = this.chunks.send(chunk);
			this.onSent(part.length);
			if (!flowing) await this.untilDrained();
			if (this.closed) return;
		}
	}

	private async prepare(request: ExchangeRequest): Promise<Answer> {
		const { wanted, title, shard, first, count } = request;
		try {
			if (wanted === "blocks") {
				return (
					(await this.shelf.blocks(title, shard, first, count)) ?? "not-held"
				);
			}
			const bytes =
				wanted === "manifest"
					? await this.shelf.manifest(title)
					: wanted === "holders"
						? await this.shelf.holders(title)
						: await this.shelf.leaves(title, shard);
			if (bytes === undefined || bytes.length === 0) return "not-held";
			return { bytes, blockSize: 64 * KiB };
		} catch (error) {
			this.log.warn({ err: error, title: short(title) }, "a read failed");
			return "disk";
		}
	}

	private refuse(id: number, reason: Refusal): void {
		if (!this.closed) this.refusals.send({ id, reason });
	}

	private untilDrained(): Promise<void> {
		return new Promise((resolve) => {
			this.drained = resolve;
		});
	}
}
