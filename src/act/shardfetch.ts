import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import {
	blocksIn,
	leavesBytes,
	runBytes,
	shardBytes,
} from "../content/geometry.ts";
import type { Manifest } from "../content/manifest.ts";
import {
	type VerifiedBlock,
	type VerifiedLeaves,
	verifyBlock,
	verifyLeaves,
} from "../content/verify.ts";
import { chooseSource, type SourceCandidate } from "../plan/source.ts";
import { MAX_RUN } from "../wire/exchange.ts";
import { type BoxId, short, type TitleId } from "../wire/ids.ts";
import {
	NeighbourFailed,
	type Neighbours,
	type Origin,
	type Source,
} from "./ports.ts";

/** A neighbour that failed here is not asked for this shard again for so long; the origin likewise. */
const FORGIVE: Millis = 2 * SECOND;
/** Blocks that one request to the origin covers when a viewer waits; fill asks for all that is left. */
const ORIGIN_RUN = 16;

/** Somebody who wants blocks of the shard. */
export interface Want {
	readonly blocks: ReadonlySet<number>;
	readonly urgent: boolean;
	/** How long without progress until the origin may be asked, given whether a neighbour holds the block. */
	readonly originAfter: (held: boolean) => Millis;
	readonly onBlock: (
		block: number,
		bytes: VerifiedBlock,
		source: Source,
	) => void;
}

export interface FetchPorts {
	readonly neighbours: Neighbours;
	readonly origin: Origin;
	/** Dials boxes that should hold the shard and are not connected. */
	readonly dialHolders: (title: TitleId, shard: number) => void;
	/** Waits until this many more bytes may come in; undefined when there is no limit. */
	readonly pace: (bytes: Bytes, urgent: boolean) => Promise<void> | undefined;
	readonly onWrong: () => void;
	readonly log: Log;
}

/**
 * Gets blocks of one shard for everybody who wants some, each block once.
 * Single owner of what is in flight for the shard. `pump` decides, is cheap, and may be called at any time.
 * Invariant: a block is in flight, or wanted and waiting, or delivered to all who wanted it.
 */
export class ShardFetch {
	readonly title: TitleId;
	readonly shard: number;
	private readonly manifest: Manifest;
	private readonly ports: FetchPorts;
	private readonly wants = new Set<Want & { left: Set<number> }>();
	private readonly inFlight = new Set<number>();
	private readonly failed = new Map<Source, Millis>();
	private abort = new AbortController();
	private leaves: VerifiedLeaves | undefined;
	private gettingLeaves: Source | undefined;
	/** Blocks that overtook their leaves, with who sent them. */
	private early: { block: number; bytes: Buffer; source: Source }[] = [];
	private progressAt = monotonic();
	private timer: NodeJS.Timeout | undefined;

	constructor(
		title: TitleId,
		shard: number,
		manifest: Manifest,
		leaves: VerifiedLeaves | undefined,
		ports: FetchPorts,
	) {
		this.title = title;
		this.shard = shard;
		this.manifest = manifest;
		this.leaves = leaves;
		this.ports = ports;
	}

	get idle(): boolean {
		return this.wants.size === 0;
	}

	/** The shard's leaves, once they are known. */
	get verifiedLeaves(): VerifiedLeaves | undefined {
		return this.leaves;
	}

	/** Wants blocks; the function given back takes the want away, and cancels what nobody else wants. */
	add(want: Want): () => void {
		if (this.idle) this.progressAt = monotonic();
		const entry = { ...want, left: new Set(want.blocks) };
		this.wants.add(entry);
		this.pump();
		return () => {
			this.wants.delete(entry);
			// Not at once: when the last block has just come, its request ends by itself and its connection stays usable.
			setImmediate(() => {
				if (this.idle) this.stop();
			});
		};
	}

	/** Inventory or connections changed, or time passed. */
	pump(): void {
		clearTimeout(this.timer);
		if (this.idle) return;
		// Blocks whose leaves nobody is fetching any more cannot be judged: they are asked for again, with leaves.
		if (this.leaves === undefined && this.gettingLeaves === undefined) {
			for (const { block } of this.early) this.inFlight.delete(block);
			this.early = [];
		}
		const now = monotonic();
		let wait: Millis = FORGIVE;
		let lacking = false;
		for (const { block, want } of this.waiting()) {
			if (this.inFlight.has(block)) continue;
			const candidates = this.candidates(block, now);
			if (candidates.length === 0) lacking = true;
			const patience = want.originAfter(candidates.length > 0);
			const run = this.runFrom(block, candidates);
			const choice = chooseSource({
				bytes: runBytes(this.manifest, run),
				candidates,
				waited: now - this.progressAt,
				originAfter: this.isFailed("origin", now)
					? Number.POSITIVE_INFINITY
					: patience,
			});
			if (choice.from === "neighbour") {
				this.fromNeighbour(choice.box, block, want.urgent);
			} else if (choice.from === "origin") {
				this.fromOrigin(block, want.urgent);
			} else {
				wait = Math.min(wait, choice.wait);
				// Everybody who has it is busy: the next arrival pumps again.
				if (candidates.length > 0) break;
			}
		}
		if (lacking) this.ports.dialHolders(this.title, this.shard);
		if (!this.idle) {
			this.timer = setTimeout(() => this.pump(), Math.max(20, wait));
		}
	}

	private stop(): void {
		clearTimeout(this.timer);
		this.abort.abort(new DOMException("no longer wanted", "AbortError"));
		this.abort = new AbortController();
		this.inFlight.clear();
		this.early = [];
		this.gettingLeaves = undefined;
	}

	/** Wanted blocks, urgent ones first, then in order. */
	private *waiting(): Generator<{ block: number; want: Want }> {
		const wants = [...this.wants].sort(
			(a, b) => Number(b.urgent) - Number(a.urgent),
		);
		for (const want of wants) {
			for (const block of [...want.left].sort((a, b) => a - b)) {
				yield { block, want };
			}
		}
	}

	private isWanted(block: number): boolean {
		for (const want of this.wants) if (want.left.has(block)) return true;
		return false;
	}

	private isFailed(source: Source, now: Millis): boolean {
		const at = this.failed.get(source);
		return at !== undefined && now - at < FORGIVE;
	}

	private candidates(block: number, now: Millis): SourceCandidate[] {
		return this.ports.neighbours
			.candidates(this.title, this.shard)
			.filter(({ blocks }) => blocks.has(block))
			.filter(({ box }) => !this.isFailed(box, now));
	}

	/** The run of wanted blocks that starts here and that some candidate could send in one go. */
	private runFrom(
		block: number,
		candidates: readonly SourceCandidate[],
	): { shard: number; first: number; count: number } {
		const limit = candidates.length > 0 ? MAX_RUN : ORIGIN_RUN;
		return { shard: this.shard, first: block, count: this.span(block, limit) };
	}

	private span(
		first: number,
		limit: number,
		has = (_: number) => true,
	): number {
		const total = blocksIn(this.manifest, this.shard);
		let count = 0;
		while (
			count < limit &&
			first + count < total &&
			!this.inFlight.has(first + count) &&
			this.isWanted(first + count) &&
			has(first + count)
		) {
			count++;
		}
		return Math.max(1, count);
	}

	private fromNeighbour(box: BoxId, first: number, urgent: boolean): void {
		const { neighbours } = this.ports;
		const theirs = neighbours
			.candidates(this.title, this.shard)
			.find((candidate) => candidate.box === box)?.blocks;
		const count = this.span(first, MAX_RUN, (b) => theirs?.has(b) ?? false);
		const run = { shard: this.shard, first, count };
		this.leavesFrom(box);
		const request = {
			title: this.title,
			run,
			bytes: runBytes(this.manifest, run),
			blockSize: this.manifest.blockSize,
			urgent,
		};
		this.track(box, run, async (signal) => {
			await this.ports.pace(request.bytes, urgent);
			signal.throwIfAborted();
			await neighbours.blocks(
				box,
				request,
				(block, bytes) => this.arrived(block, bytes, box),
				signal,
			);
		});
	}

	private fromOrigin(first: number, urgent: boolean): void {
		const limit = urgent ? ORIGIN_RUN : this.manifest.shardBlocks;
		const run = {
			shard: this.shard,
			first,
			count: this.span(first, limit),
		};
		this.leavesFrom("origin");
		this.track("origin", run, async (signal) => {
			const { blockSize } = this.manifest;
			const parts = this.ports.origin.shard(
				this.title,
				this.shard,
				first * blockSize,
				runBytes(this.manifest, run),
				signal,
			);
			let block = first;
			for await (const bytes of inBlocks(parts, blockSize)) {
				this.arrived(block++, bytes, "origin");
			}
		});
	}

	/** Leaves are asked for together with the first blocks, from the same source. */
	private leavesFrom(source: Source): void {
		if (this.leaves !== undefined || this.gettingLeaves !== undefined) return;
		if (source === "disk") return;
		this.gettingLeaves = source;
		const { signal } = this.abort;
		this.getLeaves(source, signal).then(
			(leaves) => {
				if (signal.aborted) return;
				this.gettingLeaves = undefined;
				this.gotLeaves(leaves, source);
			},
			(error: unknown) => {
				if (signal.aborted) return;
				this.gettingLeaves = undefined;
				this.gaveUp(source, error);
			},
		);
	}

	private async getLeaves(
		source: BoxId | "origin",
		signal: AbortSignal,
	): Promise<Buffer> {
		const { manifest, shard, title } = this;
		const bytes = leavesBytes(manifest, shard);
		if (source !== "origin") {
			return await this.ports.neighbours.leaves(
				source,
				title,
				shard,
				bytes,
				signal,
			);
		}
		const offset = shardBytes(manifest, shard);
		const parts: Buffer[] = [];
		for await (const part of this.ports.origin.shard(
			title,
			shard,
			offset,
			bytes,
			signal,
		)) {
			parts.push(part);
		}
		return Buffer.concat(parts);
	}

	private gotLeaves(bytes: Buffer, source: Source): void {
		const { manifest, shard } = this;
		const leaves = verifyLeaves(manifest, manifest.shards, shard, bytes);
		if (leaves === undefined) {
			this.wrong(source, "wrong-leaves");
		} else {
			// A copy: what came over the network is a view into a larger buffer.
			this.leaves = Buffer.from(leaves) as VerifiedLeaves;
			const early = this.early;
			this.early = [];
			for (const { block, bytes, source } of early) {
				this.arrived(block, bytes, source);
			}
		}
		this.pump();
	}

	private arrived(block: number, bytes: Buffer, source: Source): void {
		if (this.leaves === undefined) {
			this.early.push({ block, bytes, source });
			return;
		}
		const good = verifyBlock(
			this.manifest,
			this.leaves,
			this.shard,
			block,
			bytes,
		);
		this.inFlight.delete(block);
		if (good === undefined) {
			this.wrong(source, "wrong-block");
			return;
		}
		this.progressAt = monotonic();
		for (const want of [...this.wants]) {
			if (want.left.delete(block)) want.onBlock(block, good, source);
			if (want.left.size === 0) this.wants.delete(want);
		}
	}

	/** Runs one request and looks after its blocks, however it ends. */
	private track(
		source: Source,
		run: { readonly first: number; readonly count: number },
		work: (signal: AbortSignal) => Promise<void>,
	): void {
		const blocks = Array.from({ length: run.count }, (_, i) => run.first + i);
		for (const block of blocks) this.inFlight.add(block);
		const release = () => {
			const waiting = new Set(this.early.map((arrival) => arrival.block));
			for (const block of blocks) {
				if (!waiting.has(block)) this.inFlight.delete(block);
			}
		};
		const { signal } = this.abort;
		work(signal).then(
			() => {
				if (signal.aborted) return;
				release();
				this.pump();
			},
			(error: unknown) => {
				if (signal.aborted) return;
				release();
				this.gaveUp(source, error);
			},
		);
	}

	private gaveUp(source: Source, error: unknown): void {
		this.failed.set(source, monotonic());
		this.dropEarly(source);
		const expected =
			error instanceof NeighbourFailed || error instanceof LarderError;
		this.ports.log[expected ? "debug" : "error"](
			{ err: error, title: short(this.title), shard: this.shard },
			"a source gave up",
		);
		this.pump();
	}

	private wrong(source: Source, slug: string): void {
		this.ports.onWrong();
		this.ports.log.warn(
			{
				from: source === "origin" ? source : short(source),
				slug,
				title: short(this.title),
				shard: this.shard,
			},
			"wrong bytes were thrown away",
		);
		this.failed.set(source, monotonic());
		this.dropEarly(source);
		if (source !== "origin" && source !== "disk") {
			this.ports.neighbours.expel(source, slug);
		}
	}

	private dropEarly(source: Source): void {
		for (const arrival of this.early) {
			if (arrival.source === source) this.inFlight.delete(arrival.block);
		}
		this.early = this.early.filter((arrival) => arrival.source !== source);
	}
}

async function* inBlocks(
	parts: AsyncIterable<Buffer>,
	size: number,
): AsyncGenerator<Buffer> {
	let waiting: Buffer[] = [];
	let length = 0;
	for await (const part of parts) {
		waiting.push(part);
		length += part.length;
		if (length < size) continue;
		const all = waiting.length === 1 ? part : Buffer.concat(waiting);
		const whole = length - (length % size);
		for (let at = 0; at < whole; at += size) {
			yield all.subarray(at, at + size);
		}
		waiting = whole < length ? [all.subarray(whole)] : [];
		length -= whole;
	}
	if (length > 0) yield Buffer.concat(waiting);
}
