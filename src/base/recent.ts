import { type Bytes, KiB } from "./units.ts";

const MOST: Bytes = 128 * KiB;

/** The last lines of a log, in bounded memory. Invariant: `length` is the sum of the lengths of `lines`, at most `most`. */
export class Recent {
	private readonly lines: string[] = [];
	private readonly most: number;
	private length = 0;

	/** @param most characters */
	constructor(most = MOST) {
		this.most = most;
	}

	add(line: string): void {
		if (line.length > this.most) return;
		this.lines.push(line);
		this.length += line.length;
		while (this.length > this.most) {
			const oldest = this.lines.shift();
			this.length -= oldest?.length ?? 0;
		}
	}

	/** Oldest first. */
	get text(): string {
		return this.lines.join("");
	}
}
