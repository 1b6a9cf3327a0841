import type { Socket } from "node:net";

/** Requests that a connection may have waiting. Players ask for the next thing when they have the last one. */
const MOST_WAITING = 32;

interface Line {
	last: Promise<void>;
	length: number;
}

/**
 * Requests of one connection are answered in order, each when the one before it has been: nothing is opened or read for an answer that
 * cannot leave yet. Connections do not wait for each other.
 * Invariant: `length` counts what of a line has not ended.
 */
export class Turns {
	private readonly lines = new WeakMap<Socket, Line>();

	/** Settles as `work` does, which starts when all earlier work of this connection has ended. Ends a connection that has too much waiting. */
	async run(socket: Socket, work: () => Promise<void>): Promise<void> {
		const line = this.lineOf(socket);
		if (line.length > MOST_WAITING) socket.destroy();
		line.length++;
		const mine = line.last.then(work);
		const end = () => void line.length--;
		line.last = mine.then(end, end);
		await mine;
	}

	private lineOf(socket: Socket): Line {
		let line = this.lines.get(socket);
		if (line === undefined) {
			line = { last: Promise.resolve(), length: 0 };
			this.lines.set(socket, line);
		}
		return line;
	}
}
