import type { Backlog } from "./backlog.ts";
import type { Wants } from "./wants.ts";

/** Holds senders of one shard back while the disk is behind, unless a viewer waits for what they send. */
export class Brake {
	private readonly backlog: Backlog;
	private readonly wants: Wants;
	private loosened = Promise.withResolvers<void>();

	constructor(backlog: Backlog, wants: Wants) {
		this.backlog = backlog;
		this.wants = wants;
	}

	/** Resolves when more may come of these blocks. */
	async hold(left: ReadonlySet<number>): Promise<void> {
		const isNeeded = () => this.wants.next.some((block) => left.has(block));
		while (this.backlog.full && !this.wants.empty && !isNeeded()) {
			await this.loosened.promise;
		}
	}

	/** Something changed: those who are held back look again. */
	loosen(): void {
		this.loosened.resolve();
		this.loosened = Promise.withResolvers();
	}
}
