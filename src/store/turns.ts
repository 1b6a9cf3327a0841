/**
 * Work on one thing at a time, in the order in which it was asked for. Different things do not wait for each other.
 * Invariant: `last` holds the newest piece of work of each thing that is still being worked on, and nothing else.
 */
export class Turns<Key> {
	/** There while it is needed: each of thousands of titles has its turns. */
	private last: Map<Key, Promise<unknown>> | undefined;

	/** Settles as `work` does, which starts when all earlier work on the same thing has ended, however it ended. */
	run<T>(key: Key, work: () => Promise<T>): Promise<T> {
		this.last ??= new Map();
		const { last } = this;
		const mine = (last.get(key) ?? Promise.resolve()).then(work);
		const end = () => {
			if (last.get(key) === ended) last.delete(key);
			if (last.size === 0 && this.last === last) this.last = undefined;
		};
		const ended = mine.then(end, end);
		last.set(key, ended);
		return mine;
	}
}
