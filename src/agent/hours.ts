import type { Log } from "../base/log.ts";
import { type Clock, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type FillLeave, leaveAt, Week } from "../plan/hours.ts";
import { isZone } from "../plan/windows.ts";
import type { FillHours } from "../wire/hours.ts";
import type { State } from "../wire/reports.ts";
import type { Config } from "./config.ts";

/** How often the clock is looked at. Such a timer wakes no machine. */
const ROUND: Millis = SECOND;

export interface HoursOptions {
	/** The box's own hours. */
	readonly own: Config["fill"];
	/** The operator's, which come before them. */
	readonly policy: () => FillHours | undefined;
	readonly power: () => State["power"];
	/** Undefined while the time is not known. */
	readonly now: () => ReturnType<Clock> | undefined;
	/** Called at first, and whenever more or less may be filled than a moment ago. */
	readonly onChange: (leave: FillLeave) => void;
	readonly log: Log;
}

/** When this box fills: by the operator's hours where the head has some, else by its own. The clock may jump as it likes. */
export class Hours {
	private readonly options: HoursOptions;
	private readonly timer: NodeJS.Timeout;
	private configured: Config["fill"];
	private own: FillHours | undefined;
	private hours: FillHours | undefined;
	private week: Week | undefined;
	private current: FillLeave;

	constructor(options: HoursOptions) {
		this.options = options;
		this.configured = options.own;
		this.own = hoursOf(options.own);
		this.current = this.read();
		options.onChange(this.current);
		this.timer = setInterval(() => this.look(), ROUND).unref();
	}

	get leave(): FillLeave {
		return this.current;
	}

	/** Whose hours they are; undefined where there are none. */
	get from(): "operator" | "box" | undefined {
		if (this.hours === undefined) return undefined;
		return this.hours === this.own ? "box" : "operator";
	}

	/** The hours of the week as they are in force; undefined for any time. */
	get inForce(): FillHours | undefined {
		return this.hours;
	}

	/** The hour of the week that it is, from Monday's first; undefined while the time is not known, or there are no hours. */
	get hour(): number | undefined {
		const now = this.options.now();
		return now === undefined ? undefined : this.week?.hourOf(now);
	}

	/** The zone whose clock counts here. */
	get zone(): string {
		const { zone } = this.hours ?? this.configured;
		return isZone(zone) ? zone : "UTC";
	}

	/** The box's own hours are others. */
	change(own: Config["fill"]): void {
		this.configured = own;
		this.own = hoursOf(own);
		this.look();
	}

	/** The head, the configuration, the power state or the time may be another. */
	look(): void {
		const before = this.current;
		const leave = this.read();
		this.current = leave;
		if (
			leave.closed === before.closed &&
			leave.trunk === before.trunk &&
			leave.neighbours === before.neighbours &&
			leave.up === before.up
		)
			return;
		const { onChange, log } = this.options;
		if (leave.closed !== before.closed)
			log.info({ closed: leave.closed ?? "no" }, "fill hours changed");
		onChange(leave);
	}

	close(): void {
		clearInterval(this.timer);
	}

	private read(): FillLeave {
		const { policy, power, now } = this.options;
		const hours = policy() ?? this.own;
		if (hours !== this.hours) {
			this.hours = hours;
			this.week = hours && new Week(this.legible(hours));
		}
		return leaveAt(this.week, now(), power());
	}

	/** The headend's system may know more zones than this one. */
	private legible(hours: FillHours): FillHours {
		if (isZone(hours.zone)) return hours;
		const { zone } = hours;
		this.options.log.warn({ zone }, "a time zone is not known here");
		return { ...hours, zone: "UTC" };
	}
}

function hoursOf({ zone, windows }: Config["fill"]): FillHours | undefined {
	return windows.length === 0 ? undefined : { zone, windows: [...windows] };
}
