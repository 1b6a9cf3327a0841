/**
 * Work on one thing at a time, in the order in which it was asked for. Different things do not wait for each other.
 * Invariant: `last` holds the newest piece of work of each thing that is still being worked on, and nothing else.
 */
export class Turns<Key> {
	private readonly last = new Map<Key, Promise<unknown>>();

	/** Settles as `work` does, which starts when all earlier work on the same thing has ended, however it ended. */
	run<T>(key: Key, work: () => Promise<T>): Promise<T> {
		const mine = (this.last.get(key) ?? Promise.resolve()).then(work);
		const end = () => {
			if (this.last.get(key) === ended) this.last.delete(key);
		};
		const ended = mine.then(end, end);
		this.last.set(key, ended);
		return mine;
	}
}
