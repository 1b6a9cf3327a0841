import type { ExchangeRequest } from "../wire/exchange.ts";

/** Serves one request until `signal` says that it is not wanted any more; `next` is the one after it. */
export type Serve = (
	request: ExchangeRequest,
	signal: AbortSignal,
	next: ExchangeRequest | undefined,
) => Promise<void>;

/**
 * Requests of one neighbour that are served one after the other.
 * Invariant: the first of `requests` is the one being served, or the one after it when that was taken out and has not ended yet.
 */
export class Lane {
	private readonly requests = new Map<number, ExchangeRequest>();
	private readonly serve: Serve;
	private working: Promise<void> | undefined;
	private serving = new AbortController();

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
		const [first] = this.requests.keys();
		this.requests.delete(id);
		if (first === id) this.serving.abort();
	}

	clear(): void {
		this.requests.clear();
		this.serving.abort();
	}

	private async work(): Promise<void> {
		try {
			for (;;) {
				const [request, next] = this.requests.values();
				if (request === undefined) return;
				this.serving = new AbortController();
				const { signal } = this.serving;
				try {
					await this.serve(request, signal, next);
				} catch (error) {
					if (!signal.aborted) throw error;
				} finally {
					if (!signal.aborted) this.requests.delete(request.id);
				}
			}
		} finally {
			this.working = undefined;
		}
	}
}
