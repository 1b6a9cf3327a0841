import { type BlockRequest, NeighbourFailed } from "../act/ports.ts";
import { monotonic, SECOND, within } from "../base/time.ts";
import { type Bytes, MiB, type Millis } from "../base/units.ts";
import { titleIdOf } from "../content/hash.ts";
import { MAX_MANIFEST } from "../content/manifest.ts";
import { type Trust, unseal } from "../wire/envelope.ts";
import type { Refusal } from "../wire/exchange.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import { holderTable } from "../wire/placement.ts";
import type { Ask } from "./download.ts";
import type { Link } from "./link.ts";
import type { Neighbour } from "./neighbour.ts";

const MAX_HOLDERS: Bytes = 16 * MiB;
/** When one neighbour has not answered for so long, the next is asked too. */
const HEDGE: Millis = 0.5 * SECOND;

type Get = (box: BoxId, signal: AbortSignal) => Promise<Buffer>;

/** What is asked of neighbours. Each request belongs to the connection on which it is made; nothing is kept here. */
export class Transfers {
	private readonly neighbours: ReadonlyMap<BoxId, Neighbour>;
	private readonly trust: Trust;
	private readonly onLie: (box: BoxId, slug: string) => void;

	constructor(
		neighbours: ReadonlyMap<BoxId, Neighbour>,
		trust: Trust,
		onLie: (box: BoxId, slug: string) => void,
	) {
		this.neighbours = neighbours;
		this.trust = trust;
		this.onLie = onLie;
	}

	/** Who sends another than was asked for is a liar. Rejects with NeighbourFailed when nobody has it. */
	manifest(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		const get: Get = async (box, signal) => {
			const bytes = await this.file(box, "manifest", id, MAX_MANIFEST, signal);
			if (titleIdOf(bytes) === id) return bytes;
			this.onLie(box, "wrong-manifest");
			throw new NeighbourFailed("wrong-manifest");
		};
		return this.fromAny(id, get, signal);
	}

	/**
	 * The first table that the operator signed for this title: a liar in front hides no other. Who sends none may only be behind with the keys.
	 * Rejects with NeighbourFailed when nobody has it.
	 */
	holders(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		const get: Get = async (box, signal) => {
			const bytes = await this.file(box, "holders", id, MAX_HOLDERS, signal);
			const read = unseal(bytes, "placement", holderTable, this.trust);
			if (read.ok && read.value.title === id) return bytes;
			throw new NeighbourFailed("wrong-holders");
		};
		return this.fromAny(id, get, signal);
	}

	/** Unverified. Rejects with NeighbourFailed. */
	leaves(
		box: BoxId,
		title: TitleId,
		shard: number,
		exact: Bytes,
		signal: AbortSignal,
	): Promise<Buffer> {
		const request = { ...WHOLE, wanted: "leaves", title, shard } as const;
		return this.gather(box, { request, exact, limit: exact }, signal);
	}

	/** Calls `onBlock` with each block as it comes, unverified. Rejects with NeighbourFailed. */
	async blocks(
		box: BoxId,
		{ title, run, bytes, blockSize, urgent }: BlockRequest,
		onBlock: (block: number, bytes: Buffer) => void,
		signal: AbortSignal,
	): Promise<void> {
		const { shard } = run;
		const end = run.first + run.count;
		let first = run.first;
		let left = bytes;
		const take = (block: Buffer) => {
			left -= block.length;
			onBlock(first++, block);
		};
		const owed = (): Ask => {
			const count = end - first;
			return {
				request: { wanted: "blocks", title, shard, first, count, urgent },
				exact: left,
				limit: left,
				onBytes: inBlocks(blockSize, left, take),
			};
		};
		await this.ask(box, owed, signal);
	}

	/** Neighbours that hold some of the title first; the first good answer ends it. */
	private async fromAny(
		id: TitleId,
		get: Get,
		signal: AbortSignal,
	): Promise<Buffer> {
		const all = [...this.neighbours.values()];
		const holds = ({ inventory }: Neighbour) =>
			inventory?.holdsAny(id) === true;
		const ordered = [
			...all.filter(holds),
			...all.filter((neighbour) => !holds(neighbour)),
		];
		const enough = new AbortController();
		const both = AbortSignal.any([signal, enough.signal]);
		const asked: Promise<Buffer>[] = [];
		try {
			for (const { box } of ordered) {
				asked.push(get(box, both));
				const answer = await within(HEDGE, firstOf(asked), undefined);
				if (answer !== undefined) return answer;
			}
			const answer = await firstOf(asked);
			if (answer !== undefined) return answer;
			signal.throwIfAborted();
			throw new NeighbourFailed("not-held");
		} finally {
			enough.abort();
		}
	}

	private file(
		box: BoxId,
		wanted: "manifest" | "holders",
		title: TitleId,
		limit: Bytes,
		signal: AbortSignal,
	): Promise<Buffer> {
		const request = { ...WHOLE, wanted, title, shard: 0 };
		return this.gather(box, { request, limit }, signal);
	}

	private async gather(
		box: BoxId,
		ask: Omit<Ask, "onBytes">,
		signal: AbortSignal,
	): Promise<Buffer> {
		let parts: Buffer[] = [];
		const whole = (): Ask => {
			parts = [];
			return { ...ask, onBytes: (bytes) => parts.push(bytes) };
		};
		await this.ask(box, whole, signal);
		return Buffer.concat(parts);
	}

	/** When its TCP connection is lost, the Hyperswarm one gives what is still owed then; but a viewer asks others, for it may be gone. */
	private async ask(
		box: BoxId,
		owed: () => Ask,
		signal: AbortSignal,
	): Promise<void> {
		for (;;) {
			const link = this.link(box);
			const ask = owed();
			try {
				return await link.download.ask(ask, signal);
			} catch (error) {
				const other = this.neighbours.get(box)?.best ?? link;
				const isLost = link.download.isClosed && other !== link;
				const { wanted, urgent } = ask.request;
				const isPressing = wanted === "blocks" && urgent;
				if (isLost && !isPressing && !signal.aborted) continue;
				if (isDenial(error)) this.disbelieve(box, ask.request);
				throw error;
			}
		}
	}

	/** A refusal is newer than what the neighbour told before. */
	private disbelieve(box: BoxId, { wanted, title, shard }: Ask["request"]) {
		if (wanted !== "blocks" && wanted !== "leaves") return;
		this.neighbours.get(box)?.inventory?.disbelieve(title, shard);
	}

	private link(box: BoxId): Link {
		const neighbour = this.neighbours.get(box);
		if (neighbour?.best === undefined) throw new NeighbourFailed("gone");
		neighbour.lastUsed = monotonic();
		return neighbour.best;
	}
}

/** What is not in blocks is asked for whole, and a viewer may wait for it. */
const WHOLE = { first: 0, count: 0, urgent: true };

/** Why a neighbour gives nothing of a shard before it has told of it anew. An honest one that is busy has it all the same. */
const DENIALS: readonly string[] = [
	"not-held",
	"leaving",
	"bad-request",
	"disk",
] satisfies Refusal[];

function isDenial(error: unknown): boolean {
	return error instanceof NeighbourFailed && DENIALS.includes(error.slug);
}

/** The first that is good; undefined as soon as all have failed. */
function firstOf<T>(tries: readonly Promise<T>[]): Promise<T | undefined> {
	return Promise.any(tries).catch(() => undefined);
}

/** Cuts what comes in parts into blocks, of which the last may be short. */
function inBlocks(
	blockSize: Bytes,
	total: Bytes,
	onBlock: (bytes: Buffer) => void,
): (part: Buffer) => void {
	let waiting: Buffer[] = [];
	let length = 0;
	let left = total;
	return (part) => {
		waiting.push(part);
		length += part.length;
		if (length < Math.min(blockSize, left)) return;
		const all = waiting.length === 1 ? part : Buffer.concat(waiting);
		let at = 0;
		while (left > 0 && length - at >= Math.min(blockSize, left)) {
			const size = Math.min(blockSize, left);
			onBlock(all.subarray(at, at + size));
			at += size;
			left -= size;
		}
		waiting = at < length ? [all.subarray(at)] : [];
		length -= at;
	};
}
