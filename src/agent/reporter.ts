import type { Ledger } from "../act/ledger.ts";
import { heldOf, type Progress } from "../act/reconcile.ts";
import type { Room } from "../act/room.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import { formatBytes } from "../base/units.ts";
import type { Control } from "../control/control.ts";
import type { Desired } from "../control/desired.ts";
import type { Levels } from "../control/fills.ts";
import type { ShardStore } from "../store/store.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Status } from "../wire/ipc.ts";
import type { Reported } from "../wire/reports.ts";
import type { Notifier } from "./notify.ts";

const MEASURE = SECOND;

type Outcome = Pick<Reported, "phase" | "code" | "detail" | "missingBytes">;

export interface ReporterParts {
	readonly store: ShardStore;
	readonly room: Room;
	readonly swarm: Swarm;
	readonly control: Control;
	readonly ledger: Ledger;
	readonly notifier: Notifier;
	readonly log: Log;
}

/**
 * Tells the headend and systemd how full the box is and what became of its placement. Figures are counted on disk and where
 * bytes moved, once a second and whenever the reconcile loop has looked.
 */
export class Reporter {
	private readonly parts: ReporterParts;
	private readonly timer: NodeJS.Timeout;
	private desired: Desired = { epoch: 0, rev: 0, titles: [] };
	private progress: Progress | undefined;
	private told:
		| (Outcome & { epoch: number; rev: number; at: number })
		| undefined;

	constructor(parts: ReporterParts) {
		this.parts = parts;
		this.timer = setInterval(() => this.measure(), MEASURE);
		this.timer.unref();
	}

	/** What became of the last placement, as it was reported. */
	get lastPlacement(): Status["control"]["lastPlacement"] {
		if (this.told === undefined) return undefined;
		const { epoch, rev, phase, at, code } = this.told;
		return { epoch, rev, phase, at, ...(code !== undefined && { code }) };
	}

	accepted(desired: Desired): void {
		this.desired = desired;
		this.progress = undefined;
	}

	progressed(progress: Progress): void {
		this.progress = progress;
		const { epoch, rev } = this.desired;
		if (rev > 0) this.tell({ epoch, rev, ...outcomeOf(progress) });
		this.measure();
	}

	async levels(): Promise<Levels> {
		const { store, room, swarm, ledger } = this.parts;
		const plan = this.progress?.plan;
		return {
			capacity: store.capacity,
			usedSpace: store.usedBytes,
			streamingShare: store.streamingShare,
			transientBytes: await room.transientBytes(),
			placedBytes: plan?.placedBytes ?? 0,
			heldBytes: plan?.heldBytes ?? 0,
			shards: {
				placed: plan?.placedShards ?? 0,
				held: plan?.heldShards ?? 0,
			},
			titles: heldOf(store, { titles: [...this.desired.titles] }),
			neighbours: swarm.neighbours.size,
			counters: { ...ledger.counters },
		};
	}

	close(): void {
		clearInterval(this.timer);
	}

	private tell(outcome: Outcome & { epoch: number; rev: number }): void {
		const { told } = this;
		const same =
			told?.epoch === outcome.epoch &&
			told.rev === outcome.rev &&
			told.phase === outcome.phase &&
			told.code === outcome.code &&
			told.missingBytes === outcome.missingBytes;
		if (same) return;
		this.told = { ...outcome, at: Date.now() };
		this.parts.control.report(outcome);
		const { epoch, rev, phase, code } = outcome;
		this.parts.log.info({ epoch, rev, phase, code }, "placement");
	}

	private measure(): void {
		this.levels().then(
			(levels) => {
				this.parts.control.fill(levels);
				const { heldBytes, placedBytes, neighbours } = levels;
				const held = `${formatBytes(heldBytes)} of ${formatBytes(placedBytes)}`;
				this.parts.notifier.status(`holds ${held}, ${neighbours} neighbours`);
			},
			(error: unknown) => {
				this.parts.log.error({ err: error }, "fill levels were not measured");
			},
		);
	}
}

/** `failed` only while a step is failing and nothing but a change from outside will help it. */
function outcomeOf({ plan, trouble }: Progress): Outcome {
	if (plan.phase === "short") {
		return {
			phase: "short",
			code: "no-room",
			missingBytes: plan.missingBytes,
		};
	}
	if (plan.phase === "fetching" && trouble !== undefined) {
		const { code, detail } = trouble;
		return { phase: "failed", code, detail: detail.slice(0, 500) };
	}
	return { phase: plan.phase };
}
