import type { Bytes } from "../../base/units.ts";
import {
	type BlockRun,
	leavesBytes,
	runBytes,
	shardBytes,
} from "../../content/geometry.ts";
import type { Manifest } from "../../content/manifest.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import type { Neighbours, Origin } from "../ports.ts";

/** What blocks are fetched for: a viewer who waits, one who will want them soon, or nobody yet. */
export type Purpose = "viewer" | "ahead" | "fill";

/** Who can be asked: the origin, or a neighbour. */
export type Giver = "origin" | BoxId;

export interface AskPorts {
	readonly neighbours: Neighbours;
	readonly origin: Origin;
	/** Waits until so many more bytes may come in; undefined when they may at once. */
	readonly pace: (
		from: "origin" | "neighbour",
		bytes: Bytes,
		purpose: Purpose,
		signal: AbortSignal,
	) => Promise<void> | undefined;
}

/** One request, and what becomes of it. */
export interface Asking {
	readonly run: BlockRun;
	readonly purpose: Purpose;
	/** Resolves when more may be taken; until then the sender is held back. */
	readonly hold: () => Promise<void>;
	readonly onBlock: (block: number, bytes: Buffer) => void;
}

/** One shard of one title, and how it is cut. */
export interface ShardPlace {
	readonly title: TitleId;
	readonly shard: number;
	readonly manifest: Manifest;
}

/** Asks one giver for a run of blocks; they come through `onBlock`, in order and unverified. Rejects as the ports do. */
export async function askBlocks(
	{ title, manifest, shard }: ShardPlace,
	giver: Giver,
	{ run, purpose, hold, onBlock }: Asking,
	ports: AskPorts,
	signal: AbortSignal,
): Promise<void> {
	const { blockSize } = manifest;
	const bytes = runBytes(manifest, run);
	if (giver !== "origin") {
		// Nothing is waited for without need: the request is to count as in flight before others choose whom to ask.
		const wait = ports.pace("neighbour", bytes, purpose, signal);
		if (wait !== undefined) await wait;
		signal.throwIfAborted();
		const urgent = purpose === "viewer";
		const request = { title, run, bytes, blockSize, urgent };
		await ports.neighbours.blocks(giver, request, onBlock, signal);
		return;
	}
	const offset = run.first * blockSize;
	const parts = ports.origin.shard(title, shard, offset, bytes, signal);
	let block = run.first;
	for await (const whole of inBlocks(parts, blockSize)) {
		await ports.pace("origin", whole.length, purpose, signal);
		signal.throwIfAborted();
		onBlock(block++, whole);
		await hold();
	}
}

/** The leaves of a shard from one giver, unverified: 32 bytes a block. */
export async function askLeaves(
	{ title, manifest, shard }: ShardPlace,
	giver: Giver,
	{ neighbours, origin }: Pick<AskPorts, "neighbours" | "origin">,
	signal: AbortSignal,
): Promise<Buffer> {
	const bytes = leavesBytes(manifest, shard);
	if (giver !== "origin") {
		return await neighbours.leaves(giver, title, shard, bytes, signal);
	}
	const offset = shardBytes(manifest, shard);
	const parts: Buffer[] = [];
	for await (const part of origin.shard(title, shard, offset, bytes, signal)) {
		parts.push(part);
	}
	return Buffer.concat(parts);
}

/** Cuts a stream of bytes into blocks; the last one may be short. */
async function* inBlocks(
	parts: AsyncIterable<Buffer>,
	size: Bytes,
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
