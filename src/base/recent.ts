import { type Bytes, KiB } from "./units.ts";

const MOST: Bytes = 128 * KiB;

interface Line {
	readonly text: string;
	readonly size: Bytes;
}

/**
 * The last lines of a log, in bounded memory: at most so many bytes as JSON, which is how they are told. What others have a part
 * in would else make them too long for an answer. Invariant: `size` is the sum of the sizes of `lines`, at most `most`.
 */
export class Recent {
	private readonly lines: Line[] = [];
	private readonly most: Bytes;
	private size: Bytes = 0;

	constructor(most = MOST) {
		this.most = most;
	}

	add(text: string): void {
		const size = Buffer.byteLength(JSON.stringify(text));
		if (size > this.most) return;
		this.lines.push({ text, size });
		this.size += size;
		while (this.size > this.most) {
			const oldest = this.lines.shift();
			this.size -= oldest?.size ?? 0;
		}
	}

	/** Oldest first. */
	get text(): string {
		return this.lines.map(({ text }) => text).join("");
	}
}
