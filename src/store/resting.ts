import type { Log } from "../base/log.ts";

interface Restable {
	/** Shuts it until it is used again. */
	shut(): Promise<void>;
}

/**
 * What is open and used by nobody: closed oldest first beyond `limit`, so that thousands of shards need few descriptors.
 * Invariant: nothing in `resting` is in use or closed.
 */
export class Resting {
	private readonly resting = new Set<Restable>();
	private readonly limit: number;
	private readonly log: Log;

	constructor(limit: number, log: Log) {
		this.limit = limit;
		this.log = log;
	}

	add(open: Restable): void {
		this.resting.add(open);
		for (const oldest of this.resting) {
			if (this.resting.size <= this.limit) break;
			this.resting.delete(oldest);
			oldest.shut().catch((error: unknown) => {
				this.log.warn({ err: error }, "closing a file failed");
			});
		}
	}

	delete(open: Restable): void {
		this.resting.delete(open);
	}
}

/** It was closed for good, by somebody who removes it. */
export class Closed extends Error {
	override readonly name = "Closed";
}

/**
 * Something that opens itself when it is used and may be shut while it is not.
 * Invariant: it is shut only while `users` is 0.
 */
export class Openable<T> implements Restable {
	private readonly resting: Resting;
	private readonly opens: () => Promise<T>;
	private readonly shuts: (value: T) => Promise<void>;
	private value: Promise<T> | undefined;
	private users = 0;
	private left: PromiseWithResolvers<void> | undefined;

	constructor(
		resting: Resting,
		opens: () => Promise<T>,
		shuts: (value: T) => Promise<void>,
	) {
		this.resting = resting;
		this.opens = opens;
		this.shuts = shuts;
	}

	/** Settles as `work` does. Rejects with Closed after `close`, and with what opening it says. */
	async use<R>(work: (value: T) => Promise<R>): Promise<R> {
		if (this.left !== undefined) throw new Closed("closed for good");
		this.users++;
		this.resting.delete(this);
		try {
			return await work(await this.open());
		} finally {
			this.users--;
			if (this.users === 0) this.rest();
		}
	}

	/** Waits for those who use it, then shuts it for good. */
	async close(): Promise<void> {
		if (this.left === undefined) {
			this.left = Promise.withResolvers();
			this.resting.delete(this);
			if (this.users === 0) this.left.resolve();
		}
		await this.left.promise;
		await this.shut();
	}

	async shut(): Promise<void> {
		const { value } = this;
		this.value = undefined;
		if (value !== undefined) await this.shuts(await value);
	}

	private async open(): Promise<T> {
		this.value ??= this.opens();
		const { value } = this;
		try {
			return await value;
		} catch (error) {
			if (this.value === value) this.value = undefined;
			throw error;
		}
	}

	private rest(): void {
		if (this.left !== undefined) this.left.resolve();
		else if (this.value !== undefined) this.resting.add(this);
	}
}
