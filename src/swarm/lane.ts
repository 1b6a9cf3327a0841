import type { ExchangeRequest } from "../wire/exchange.ts";

/** Serves one request, as long as it is wanted; `next` is the one after it. */
export type Serve = (
	request: ExchangeRequest,
	isWanted: () => boolean,
	next: ExchangeRequest | undefined,
) => Promise<void>;

/**
 * Requests of one neighbour that are served one after the other.
 * Invariant: the first of `requests` is the one being served; one that is taken out is not wanted any more.
 */
export class Lane {
	private readonly requests = new Map<number, ExchangeRequest>();
	private readonly serve: Serve;
	private working: Promise<void> | undefined;

	constructor(serve: Serve) {
		this.serve = serve;
	}

	get size(): number {
		return this.requests.size;
	}

	/** Of all that wait, and of the one being served. */
	get ids(): readonly number[] {
		return [...this.requests.keys()];
	}

	/** Resolves when nothing is being served. */
	get idle(): Promise<void> {
		return this.working ?? Promise.resolve();
	}

	has(id: number): boolean {
		return this.requests.has(id);
	}

	/** Rejects when serving fails; undefined when others are being served already. */
	add(request: ExchangeRequest): Promise<void> | undefined {
		this.requests.set(request.id, request);
		if (this.working !== undefined) return undefined;
		this.working = this.work();
		return this.working;
	}

	delete(id: number): void {
		this.requests.delete(id);
	}

	clear(): void {
		this.requests.clear();
	}

	private async work(): Promise<void> {
		try {
			for (;;) {
				const [request, next] = this.requests.values();
				if (request === undefined) return;
				const { id } = request;
				const isWanted = () => this.requests.get(id) === request;
				try {
					await this.serve(request, isWanted, next);
				} finally {
					if (isWanted()) this.requests.delete(id);
				}
			}
		} finally {
			this.working = undefined;
		}
	}
}
