import { monotonic } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type VerifiedLeaves, verifyLeaves } from "../../content/verify.ts";
import type { Giver, ShardPlace } from "./ask.ts";

/** Leaves are small: whoever has not sent them after so long is joined by another. */
const RESCUE: Millis = 600;
/** How many are asked at a time; the last of them may be the origin. */
const AT_ONCE = 3;

export interface LeavesPorts {
	/** Leaves that are on disk already. */
	readonly onDisk: Promise<VerifiedLeaves | undefined>;
	readonly ask: (giver: Giver, signal: AbortSignal) => Promise<Buffer>;
	/** They are known from now on. */
	readonly onKnown: () => void;
	readonly onFailed: (giver: Giver, error: unknown) => void;
	readonly onWrong: (giver: Giver) => void;
}

/**
 * Gets the leaves of one shard, against which its blocks are judged: from disk, or from those who are asked for blocks.
 * Invariant: once `known`, nobody is asked any more.
 */
export class Leaves {
	known: VerifiedLeaves | undefined;
	/** Whether the disk has been looked at. */
	looked = false;
	private readonly place: ShardPlace;
	private readonly ports: LeavesPorts;
	private readonly asked = new Map<
		Giver,
		{ readonly since: Millis; readonly abort: AbortController }
	>();

	constructor(place: ShardPlace, ports: LeavesPorts) {
		this.place = place;
		this.ports = ports;
		const look = (leaves?: VerifiedLeaves) => {
			this.looked = true;
			this.known ??= leaves;
			ports.onKnown();
		};
		// A disk that cannot be read is no reason not to ask others.
		ports.onDisk.then(look, () => look());
	}

	get asking(): boolean {
		return this.asked.size > 0;
	}

	/**
	 * Asks the first of these who is not being asked, when nobody is or the last one takes long.
	 * @param givers neighbours in order of preference, then the origin where it may be asked
	 * @returns when to call again without news
	 */
	seek(givers: readonly Giver[], now: Millis): Millis {
		if (this.known !== undefined || this.asked.size >= AT_ONCE) {
			return Number.POSITIVE_INFINITY;
		}
		for (const { since } of this.asked.values()) {
			if (now - since < RESCUE) return since + RESCUE - now;
		}
		const open = givers.filter((one) => !this.asked.has(one));
		const giver = this.asked.size < AT_ONCE - 1 ? open[0] : open.at(-1);
		if (giver === undefined) return Number.POSITIVE_INFINITY;
		this.askOne(giver);
		return RESCUE;
	}

	/** Nobody wants the shard any more. */
	stop(): void {
		const asked = [...this.asked.values()];
		this.asked.clear();
		for (const { abort } of asked) {
			abort.abort(new DOMException("no longer wanted", "AbortError"));
		}
	}

	private askOne(giver: Giver): void {
		const abort = new AbortController();
		this.asked.set(giver, { since: monotonic(), abort });
		this.ports.ask(giver, abort.signal).then(
			(bytes) => {
				if (this.asked.delete(giver)) this.judge(bytes, giver);
			},
			(error: unknown) => {
				if (this.asked.delete(giver)) this.ports.onFailed(giver, error);
			},
		);
	}

	private judge(bytes: Buffer, giver: Giver): void {
		const { manifest, shard } = this.place;
		const leaves = verifyLeaves(manifest, manifest.shards, shard, bytes);
		if (leaves === undefined) {
			this.ports.onWrong(giver);
			return;
		}
		// A copy: what came over the network is a view into a larger buffer.
		this.known = Buffer.from(leaves) as VerifiedLeaves;
		this.stop();
		this.ports.onKnown();
	}
}
