import { monotonic } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type VerifiedLeaves, verifyLeaves } from "../../content/verify.ts";
import type { Giver, ShardPlace } from "./ask.ts";

/** Leaves are small: whoever has not sent them after so long is joined by another. */
const RESCUE: Millis = 600;
/** How many are asked at a time. */
const AT_ONCE = 2;

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

	/** Asks the first of these who has not been asked, when nobody has or the last one takes long. */
	seek(givers: readonly Giver[], now: Millis): void {
		if (this.known !== undefined || this.asked.size >= AT_ONCE) return;
		for (const { since } of this.asked.values()) {
			if (now - since < RESCUE) return;
		}
		const giver = givers.find((one) => !this.asked.has(one));
		if (giver !== undefined) this.askOne(giver);
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
