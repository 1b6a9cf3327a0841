import type { Log } from "../../base/log.ts";
import { Seldom } from "../../base/seldom.ts";
import { MINUTE, monotonic, SECOND } from "../../base/time.ts";
import type { Limit, Millis, Rate } from "../../base/units.ts";
import { judge, type Verdict } from "../../plan/household.ts";
import {
	firstUplink,
	nextLook,
	steer,
	type Uplink,
} from "../../plan/uplink.ts";
import type { Swarm } from "../../swarm/swarm.ts";
import type { Activity, HouseholdStatus } from "../../wire/ipc.ts";
import type { Counters, Part } from "../../wire/reports.ts";
import type { Told } from "../told.ts";
import { Pace } from "./pace.ts";
import type { Probes } from "./probes.ts";
import type { LimitsWanted, Will } from "./will.ts";

/** How often it is looked while neighbours are given nothing. Such a timer wakes no machine. */
const IDLE: Millis = SECOND;
/** A neighbour that has asked for nothing for so long is done. */
const WANTED: Millis = 5 * SECOND;
/** While the household fills its uplink neighbours ask seldom; after so long it is of no interest whether it still does. */
const YIELDING: Millis = MINUTE;
/** Over which bytes are counted. */
const LATELY: Millis = SECOND;
const STREAM: Millis = 5 * SECOND;
/** In the log, of each kind in a minute. */
const LINES = 5;
/** The kernel's averages are over ten seconds. */
const PRESSURE: Millis = 5 * SECOND;

export interface HouseholdParts {
	readonly swarm: Pick<Swarm, "give" | "onWanted">;
	readonly probes: Pick<Probes, "ask" | "delay">;
	readonly will: Will;
	readonly told: Pick<Told, "activity" | "keep">;
	readonly counters: Pick<Counters, "toNeighbours" | "playedFromOrigin">;
	readonly limits: HouseholdLimits;
	/** Percent of the time in which work waits. */
	readonly pressure: () => number;
	/** How many titles are placed on this box. */
	readonly placed: () => number;
	/** Whether filling has to wait has changed. */
	readonly onFill: (waits: boolean) => void;
	/** The household takes part in another way than before. */
	readonly onPart: (part: Part) => void;
	readonly log: Log;
	readonly now?: () => Millis;
}

/** As configured. */
export interface HouseholdLimits {
	readonly up: Rate;
	readonly upActive: Limit;
	/** Percent of the time in which work may wait before filling does; 0 is never. */
	readonly pressure: number;
}

/**
 * Sees to it that the household comes first: knows what it said and does, and has the swarm give and the disk filled accordingly.
 * Invariants: what the swarm gives and whether filling waits are those of `verdict`. Nodes are probed only while something is given,
 * or would be if the household did not fill its uplink.
 */
export class Household {
	private readonly parts: HouseholdParts;
	private readonly now: () => Millis;
	private limits: HouseholdLimits;
	private told: { activity: Activity; at: Millis };
	private underrunAt = Number.NEGATIVE_INFINITY;
	private wantedAt = Number.NEGATIVE_INFINITY;
	private readonly given = new Pace(LATELY);
	private readonly streamed = new Pace(STREAM);
	private pressed = { at: Number.NEGATIVE_INFINITY, percent: 0 };
	private uplink: Uplink;
	private verdict: Verdict;
	private readonly seldom = new Seldom(LINES);
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(parts: HouseholdParts) {
		this.parts = parts;
		this.now = parts.now ?? monotonic;
		this.limits = parts.limits;
		const now = this.now();
		const { said, ago } = parts.told.activity;
		this.told = { activity: said, at: now - ago };
		this.uplink = firstUplink(now);
		this.verdict = {
			...{ give: parts.limits.up, why: undefined, waits: undefined },
			quietSince: Number.NEGATIVE_INFINITY,
		};
		parts.swarm.onWanted(() => this.wanted());
		this.look();
	}

	/** As it stands now. */
	get status(): HouseholdStatus {
		const { will } = this.parts;
		const { give, why, waits } = this.verdict;
		const { pause } = will;
		const { delay } = this.parts.probes;
		return {
			...{ part: will.part, activity: this.told.activity, give },
			...(why !== undefined && { why }),
			...(waits !== undefined && { waits }),
			...(pause > 0 && { paused: Number.isFinite(pause) ? pause : null }),
			limits: will.within(this.limits),
			...(delay !== undefined && { delay }),
		};
	}

	/** What lies behind it: what the uplink was found to carry, if it was; how long ago the household was told of; how busy the machine is. */
	get insight() {
		const { carries } = this.uplink;
		return {
			carries: Number.isFinite(carries) ? carries : undefined,
			toldAgo: this.now() - this.told.at,
			pressed: this.parts.pressure(),
		};
	}

	/** Whether filling has to wait. */
	get waits(): boolean {
		return this.verdict.waits !== undefined;
	}

	/** What its user interface says that it does. When this returns, neighbours have been told to ask others where that is due. */
	tell(activity: Activity): void {
		this.told = { activity, at: this.now() };
		this.parts.told.keep({ activity });
		this.look();
	}

	/** A player had nothing to play. */
	underrun(): void {
		this.underrunAt = this.now();
		this.look();
	}

	/** For so long, with Infinity until `pause(0)`. Rejects as Will does. */
	async pause(span: Millis): Promise<void> {
		const kept = this.parts.will.rest(span);
		this.look();
		await kept;
	}

	/** Stricter limits than the operator's; looser ones change nothing. Rejects as Will does. */
	async limit(limits: LimitsWanted): Promise<void> {
		const kept = this.parts.will.limit(limits);
		this.look();
		await kept;
	}

	/** Takes part, or not, or not for much longer: only until nothing is placed here any more. Rejects as Will does. */
	async takePart(wish: Part): Promise<void> {
		const { will, placed, onPart } = this.parts;
		const part = wish === "draining" && placed() === 0 ? "out" : wish;
		if (part === will.part) return;
		const kept = will.takePart(part);
		this.look();
		onPart(part);
		await kept;
	}

	/** Another placement is in force. */
	replaced(): void {
		if (this.parts.will.part !== "draining") return;
		this.takePart("draining").catch((error: unknown) => {
			this.parts.log.error({ err: error }, "that it is drained is not kept");
		});
	}

	/** Other limits are configured, or are due at this hour. */
	change(limits: Partial<HouseholdLimits>): void {
		this.limits = { ...this.limits, ...limits };
		this.look();
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	/** The first probe goes before what is given: it sees the uplink's queue as it is without. */
	private wanted(): void {
		const now = this.now();
		const isNew = now - this.wantedAt >= WANTED;
		this.wantedAt = now;
		if (isNew) this.look();
	}

	private look(): void {
		if (this.closed) return;
		const { parts, verdict: before } = this;
		const now = this.now();
		const given = this.given.note(parts.counters.toNeighbours, now);
		const stream = this.streamed.note(parts.counters.playedFromOrigin, now);
		if (this.isSteering(now)) {
			parts.probes.ask();
			const { delay } = parts.probes;
			this.uplink = steer(this.uplink, { now, delay, given });
		}
		const { up, upActive } = parts.will.within(this.limits);
		this.verdict = judge(before.quietSince, {
			...{ now, up, upActive, stream },
			part: parts.will.part,
			isPaused: parts.will.pause > 0,
			told: this.told,
			underrunAt: this.underrunAt,
			uplink: this.uplink.rate,
			isPressed: this.isPressed(now),
		});
		this.carryOut(before);
		clearTimeout(this.timer);
		// A region's boxes do not all ask at once.
		const isGiving = this.isSteering(now) && this.verdict.give !== "none";
		const usual = isGiving ? nextLook(this.uplink, given) : IDLE;
		const pause = usual * (0.75 + Math.random() / 2);
		this.timer = setTimeout(() => this.look(), pause).unref();
	}

	private carryOut(before: Verdict): void {
		const { swarm, onFill } = this.parts;
		const { give, why, waits } = this.verdict;
		if (give !== before.give) swarm.give(give);
		if ((give === "none") !== (before.give === "none"))
			this.say({ why }, give === "none" ? "nothing is given" : "it gives");
		if ((waits === undefined) === (before.waits === undefined)) return;
		this.say({ why: waits }, waits ? "filling waits" : "filling goes on");
		onFill(waits !== undefined);
	}

	/** Whoever tells it things all the time fills no log. */
	private say(fields: object, message: string): void {
		const others = this.seldom.pass(message);
		if (others === undefined) return;
		this.parts.log.info({ ...fields, ...(others && { others }) }, message);
	}

	private isSteering(now: Millis): boolean {
		const { give, why } = this.verdict;
		const since = now - this.wantedAt;
		if (give !== "none") return since < WANTED;
		return why === "uplink" && since < YIELDING;
	}

	private isPressed(now: Millis): boolean {
		const { pressure: most } = this.limits;
		if (most === 0) return false;
		if (now - this.pressed.at >= PRESSURE)
			this.pressed = { at: now, percent: this.parts.pressure() };
		return this.pressed.percent >= most;
	}
}
