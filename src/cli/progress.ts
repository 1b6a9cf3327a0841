import { monotonic, SECOND } from "../base/time.ts";
import { type Bytes, formatBytes, type Millis } from "../base/units.ts";

const WIDTH = 30;
const EVERY: Millis = 100;

/** One line on standard error that is drawn over; nothing when that is no terminal. */
export class ProgressBar {
	private readonly terminal = process.stderr.isTTY === true;
	private drawn = 0;
	private phase = "";
	private since = monotonic();

	/** Bytes, with how fast they go. Without a total there is only the phase. */
	show(phase: string, done: Bytes, total: Bytes): void {
		this.draw(phase, done, total, (elapsed) => {
			const rate = formatBytes((done / Math.max(1, elapsed)) * SECOND);
			return `${Math.floor((100 * done) / total)} % of ${formatBytes(total)}, ${rate}/s`;
		});
	}

	/** Things, one by one. */
	count(phase: string, done: number, total: number): void {
		this.draw(phase, done, total, () => `${done} of ${total}`);
	}

	clear(): void {
		if (this.terminal && this.drawn > 0) process.stderr.write("\r\x1b[2K");
		this.drawn = 0;
	}

	private draw(
		phase: string,
		done: number,
		total: number,
		figures: (elapsed: Millis) => string,
	): void {
		if (!this.terminal) return;
		const now = monotonic();
		if (phase !== this.phase) {
			this.phase = phase;
			this.since = now;
		} else if (now - this.drawn < EVERY && done < total) return;
		this.drawn = now;
		const full = total > 0 ? Math.round((done / total) * WIDTH) : 0;
		const bar = "█".repeat(full).padEnd(WIDTH, "░");
		const rest = total > 0 ? ` ${bar} ${figures(now - this.since)}` : "";
		const line = `${phase}${rest}`.slice(0, process.stderr.columns - 1);
		process.stderr.write(`\r\x1b[2K${line}`);
	}
}

/** Lines on standard error, each with the seconds since the first. */
export class Narration {
	private readonly began = monotonic();

	get seconds(): number {
		return Math.round((10 * (monotonic() - this.began)) / SECOND) / 10;
	}

	say(line: string): void {
		process.stderr.write(`${this.seconds.toFixed(1).padStart(5)} s  ${line}\n`);
	}
}
