import type { Progress } from "../act/fill/reconcile.ts";
import type { Ledger } from "../act/ledger.ts";
import type { Store } from "../act/ports.ts";
import type { Room } from "../act/room.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import { formatBytes, type Millis } from "../base/units.ts";
import type { Control } from "../control/control.ts";
import type { Desired } from "../control/desired.ts";
import type { Levels } from "../control/fills.ts";
import type { ShardStore } from "../store/store.ts";
import type { Status } from "../wire/ipc.ts";
import type { Reported } from "../wire/reports.ts";
import type { Aging } from "./aging.ts";
import type { WriteBudget } from "./budget.ts";
import type { Notifier } from "./notify.ts";
import type { Space } from "./space.ts";

/** Levels are measured at most this often while things change, and at least so often. */
const SOON: Millis = 0.5 * SECOND;
const QUIET: Millis = 5 * SECOND;

type Outcome = Pick<Reported, "phase" | "code" | "detail" | "missingBytes">;

export interface ReporterParts {
	readonly store: Store & Pick<ShardStore, "disk">;
	readonly room: Room;
	/** How many neighbours are connected. */
	readonly neighbours: () => number;
	readonly control: Pick<Control, "report" | "fill">;
	readonly ledger: Ledger;
	readonly notifier: Pick<Notifier, "status">;
	readonly budget: Pick<WriteBudget, "isSpent" | "written">;
	readonly space: Pick<Space, "reserve">;
	readonly aging: Pick<Aging, "wear">;
	readonly log: Log;
}

/**
 * Tells the headend and systemd how full the box is and what became of its placement. Figures are what the reconcile loop
 * has seen on disk, and what was counted where bytes moved.
 */
export class Reporter {
	private readonly parts: ReporterParts;
	private desired: Pick<Desired, "epoch" | "rev"> = { epoch: 0, rev: 0 };
	private progress: Progress | undefined;
	private told:
		| (Outcome & { epoch: number; rev: number; at: number })
		| undefined;
	private timer: NodeJS.Timeout | undefined;
	private due: Millis = Number.POSITIVE_INFINITY;
	private closed = false;

	constructor(parts: ReporterParts) {
		this.parts = parts;
		// The headend plans with a box once it knows its room.
		this.measureIn(SOON);
	}

	/** What became of the last placement, as it was reported. */
	get lastPlacement(): Status["control"]["lastPlacement"] {
		if (this.told === undefined) return undefined;
		const { epoch, rev, phase, at, code } = this.told;
		return { epoch, rev, phase, at, ...(code !== undefined && { code }) };
	}

	/** Progress is about this placement from now on. */
	accepted({ epoch, rev }: Pick<Desired, "epoch" | "rev">): void {
		this.desired = { epoch, rev };
	}

	/** The reconcile loop has looked at the disk. */
	progressed(progress: Progress): void {
		this.progress = progress;
		const { epoch, rev } = this.desired;
		const isNews =
			rev > 0 && this.tell({ epoch, rev, ...this.outcomeOf(progress) });
		this.measureIn(isNews ? 0 : SOON);
	}

	levels(): Levels {
		const { store, room, neighbours, ledger, aging, budget, space } =
			this.parts;
		const { wear } = aging;
		const plan = this.progress?.plan;
		return {
			capacity: store.capacity,
			usedSpace: store.usedBytes,
			reservedSpace: store.reservedBytes,
			reserve: space.reserve,
			streamingShare: store.streamingShare,
			transientBytes: room.bytes,
			placedBytes: plan?.placedBytes ?? 0,
			heldBytes: plan?.heldBytes ?? 0,
			missingBytes: plan?.missingBytes ?? 0,
			shards: {
				placed: plan?.placedShards ?? 0,
				held: plan?.heldShards ?? 0,
			},
			titles: [...(plan?.titles ?? [])],
			neighbours: neighbours(),
			counters: { ...ledger.counters },
			written: budget.written,
			disk: store.disk.report,
			...(wear !== undefined && { wear }),
		};
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	/** True when it was news. */
	private tell(outcome: Outcome & { epoch: number; rev: number }): boolean {
		const { told } = this;
		const same =
			told?.epoch === outcome.epoch &&
			told.rev === outcome.rev &&
			told.phase === outcome.phase &&
			told.code === outcome.code &&
			told.missingBytes === outcome.missingBytes;
		if (same) return false;
		this.told = { ...outcome, at: Date.now() };
		this.parts.control.report(outcome);
		const { epoch, rev, phase, code } = outcome;
		this.parts.log.info({ epoch, rev, phase, code }, "placement");
		return true;
	}

	private measureIn(wait: Millis): void {
		const due = monotonic() + wait;
		if (this.closed || due >= this.due) return;
		this.due = due;
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.measure(), wait);
		this.timer.unref();
	}

	private measure(): void {
		this.due = Number.POSITIVE_INFINITY;
		const { control, notifier } = this.parts;
		const levels = this.levels();
		control.fill(levels);
		const { heldBytes, placedBytes, neighbours } = levels;
		const held = `${formatBytes(heldBytes)} of ${formatBytes(placedBytes)}`;
		notifier.status(`holds ${held}, ${neighbours} neighbours`);
		this.measureIn(QUIET);
	}

	/** `failed` only while something keeps failing; a disk that is full before the quota is leaves the placement short. */
	private outcomeOf({ plan, trouble }: Progress): Outcome {
		const { phase, missingBytes, placedBytes, heldBytes } = plan;
		if (phase === "short") return { phase, code: "no-room", missingBytes };
		if (phase !== "fetching") return { phase };
		const { budget, store } = this.parts;
		const { state } = store.disk.report;
		if (state === "full" || trouble?.code === "STORE_FULL") {
			const missing = placedBytes - heldBytes;
			return { phase: "short", code: "disk-full", missingBytes: missing };
		}
		if (state === "slow") return { phase, code: "disk-slow" };
		if (state !== "good") {
			const detail = `the disk is ${state}`;
			return { phase: "failed", code: "STORE_UNUSABLE", detail };
		}
		if (trouble !== undefined) {
			const detail = trouble.detail.slice(0, 500);
			return { phase: "failed", code: trouble.code, detail };
		}
		return { phase, ...(budget.isSpent && { code: "write-budget" }) };
	}
}
