import { sleep } from "./time.ts";
import type { Millis } from "./units.ts";

export interface Service {
	readonly name: string;
	close(): Promise<void> | void;
}

/**
 * The parts of a running process: opened one after the other, closed in reverse.
 * A part that is slow to close is named instead of hanging the whole without a word.
 * Invariant: `parts` holds exactly what has been opened and not yet closed.
 */
export class ServiceGroup {
	private readonly parts: Service[] = [];
	private closing: Promise<void> | undefined;
	private readonly patience: Millis;
	private readonly onSlow: (name: string) => void;

	constructor(patience: Millis, onSlow: (name: string) => void) {
		this.patience = patience;
		this.onSlow = onSlow;
	}

	/** Adds a part that is already open and gives it back. */
	add<T extends { close(): Promise<void> | void }>(name: string, part: T): T {
		this.parts.push({ name, close: () => part.close() });
		return part;
	}

	/** Adds something to run at close. */
	onClose(name: string, close: () => Promise<void> | void): void {
		this.parts.push({ name, close });
	}

	/** Closes all parts, last opened first. Errors are gathered and thrown together at the end. */
	close(): Promise<void> {
		this.closing ??= this.closeAll();
		return this.closing;
	}

	private async closeAll(): Promise<void> {
		const errors: unknown[] = [];
		for (
			let part = this.parts.pop();
			part !== undefined;
			part = this.parts.pop()
		) {
			const done = new AbortController();
			const { name } = part;
			const late = sleep(this.patience, done.signal).then(
				() => this.onSlow(name),
				() => undefined,
			);
			try {
				await Promise.race([part.close(), late]);
			} catch (cause) {
				errors.push(new Error(`closing ${name} failed`, { cause }));
			} finally {
				done.abort();
			}
		}
		if (errors.length > 0)
			throw new AggregateError(errors, "some parts did not close cleanly");
	}
}
