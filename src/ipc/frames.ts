import type { Bytes } from "../base/units.ts";
import { MAX_IPC_FRAME } from "../wire/ipc.ts";

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into lines. Invariant: `parts` is the start of one line, `held` bytes long, at most `limit`;
 * after a line that is longer nothing is kept any more.
 */
export class Frames {
	private parts: Buffer[] = [];
	private held: Bytes = 0;
	private readonly limit: Bytes;
	/** A line was longer than the limit; whatever follows is dropped. */
	overflowed = false;

	constructor(limit: Bytes = MAX_IPC_FRAME) {
		this.limit = limit;
	}

	/** The lines that these bytes complete, without their newlines. Empty lines are left out. */
	push(bytes: Buffer): Buffer[] {
		const lines: Buffer[] = [];
		let start = 0;
		while (!this.overflowed) {
			const end = bytes.indexOf(NEWLINE, start);
			this.keep(bytes.subarray(start, end < 0 ? undefined : end));
			if (end < 0 || this.overflowed) break;
			if (this.held > 0) lines.push(Buffer.concat(this.parts, this.held));
			this.clear();
			start = end + 1;
		}
		return lines;
	}

	private keep(part: Buffer): void {
		if (this.held + part.length > this.limit) {
			this.overflowed = true;
			this.clear();
		} else if (part.length > 0) {
			this.parts.push(part);
			this.held += part.length;
		}
	}

	private clear(): void {
		this.parts = [];
		this.held = 0;
	}
}
