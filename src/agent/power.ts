import { uptime } from "node:os";
import type { Log } from "../base/log.ts";
import { Seldom } from "../base/seldom.ts";
import { type Clock, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Control } from "../control/control.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { State } from "../wire/reports.ts";
import type { Told } from "./told.ts";

/** How often it is looked whether the machine slept. Such a timer wakes no machine. */
const ROUND: Millis = SECOND;
/** After so long neighbours and the broker are about to give this box up. */
const LONG: Millis = 10 * SECOND;
/** Lines in the log about each state in a minute: whoever may ask over the socket may ask all the time. */
const LINES = 5;

/** How much longer the machine has been on than awake. Linux's monotonic clock stands still in its sleep, its uptime does not. */
const asleep: Clock = () => uptime() * SECOND - monotonic();

export interface PowerParts {
	readonly swarm: Pick<Swarm, "leave" | "stay" | "redial">;
	readonly control: Pick<Control, "change" | "reconnect">;
	readonly told: Pick<Told, "power" | "keep">;
	readonly log: Log;
	readonly asleep?: Clock;
}

/**
 * Whether the receiver is in use, as its firmware says; active until it does in this boot. The box is never kept awake, and sleeps whenever
 * it likes: what it was given a moment for is handed over, and after a long sleep all connections are made anew.
 * Invariant: the swarm gives exactly while the state is active.
 */
export class Power {
	private readonly parts: PowerParts;
	private readonly asleep: Clock;
	private readonly timer: NodeJS.Timeout;
	private readonly seldom = new Seldom(LINES);
	private slept: Millis;
	private current: State["power"];

	constructor(parts: PowerParts) {
		this.parts = parts;
		this.asleep = parts.asleep ?? asleep;
		this.slept = this.asleep();
		this.current = parts.told.power;
		if (this.current !== "active") parts.swarm.leave();
		this.timer = setInterval(() => this.look(), ROUND).unref();
	}

	get state(): State["power"] {
		return this.current;
	}

	/** When this returns after another state than active, neighbours have been told to ask others. */
	change(state: State["power"]): void {
		// Before it gives again: to neighbours that are there.
		this.look();
		const { swarm, control, told, log } = this.parts;
		told.keep({ power: state });
		if (state === this.current) return;
		this.current = state;
		if (state === "active") swarm.stay();
		else swarm.leave();
		const unlisted = this.seldom.pass(state);
		if (unlisted !== undefined)
			log.info({ power: state, unlisted }, "power state changed");
		control.change({ power: state });
	}

	/** Finds out whether the machine slept since it was last looked. */
	look(): void {
		const { swarm, control, log } = this.parts;
		const before = this.slept;
		this.slept = this.asleep();
		const span = this.slept - before;
		if (span < LONG) return;
		log.info({ seconds: Math.round(span / SECOND) }, "the machine slept");
		swarm.redial();
		control.reconnect();
	}

	close(): void {
		clearInterval(this.timer);
	}
}
