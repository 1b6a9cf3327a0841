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

	show(phase: string, done: Bytes, total: Bytes): void {
		if (!this.terminal) return;
		const now = monotonic();
		if (phase !== this.phase) {
			this.phase = phase;
			this.since = now;
		} else if (now - this.drawn < EVERY && done < total) return;
		this.drawn = now;
		const share = total > 0 ? done / total : 0;
		const bar = "█".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, "░");
		const rate = (done / Math.max(1, now - this.since)) * 1000;
		const figures =
			total > 0
				? `${bar} ${Math.floor(share * 100)} % of ${formatBytes(total)}, ${formatBytes(rate)}/s`
				: "";
		process.stderr.write(`\r\x1b[2K${phase} ${figures}`);
	}

	clear(): void {
		if (this.terminal && this.drawn > 0) process.stderr.write("\r\x1b[2K");
		this.drawn = 0;
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
