import type { ServerResponse } from "node:http";
import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { SECOND, sleep } from "../../base/time.ts";

/** One kind of news. Only rows that changed are sent. */
export interface Feed {
	readonly name: string;
	read(): Promise<readonly { readonly id: string }[]>;
}

/** The share of the time that reading for open pages may take. */
const EFFORT = 0.1;

interface FeedState {
	readonly feed: Feed;
	/** Rows as they were last sent, as JSON by id. */
	sent: Map<string, string>;
	/** Not to be read again before, on the monotonic clock. */
	due: number;
}

/**
 * News for open pages, as server-sent events: everything at first, then what changed, at most once a second.
 * Invariant: `sent` is what every listener has been sent; one round runs at a time, and none without listeners.
 */
export class Live {
	private readonly feeds: FeedState[];
	private readonly log: Log;
	private readonly listeners = new Set<ServerResponse>();
	private readonly ended = new AbortController();
	private dirty = false;
	private running: Promise<void> = Promise.resolve();
	private active = false;

	constructor(feeds: readonly Feed[], log: Log) {
		this.feeds = feeds.map((feed) => ({ feed, sent: new Map(), due: 0 }));
		this.log = log;
	}

	/** Whether a page is open. */
	get watched(): boolean {
		return this.listeners.size > 0;
	}

	/** Something may have changed. */
	touch(): void {
		this.dirty = true;
		if (this.active || this.listeners.size === 0 || this.ended.signal.aborted)
			return;
		this.active = true;
		this.running = this.rounds();
	}

	/** Takes over a response and feeds it until either side ends. */
	listen(response: ServerResponse): void {
		response.writeHead(200, {
			"content-type": "text/event-stream",
			"x-accel-buffering": "no",
		});
		response.write("retry: 2000\n\n");
		// A newcomer needs everything; sending it to all keeps one record of what was sent.
		for (const state of this.feeds) {
			state.sent.clear();
			state.due = 0;
		}
		this.listeners.add(response);
		response.once("close", () => this.listeners.delete(response));
		this.touch();
	}

	/** Ends every stream; browsers come back and are looked at anew. */
	hangUp(): void {
		for (const response of this.listeners) response.end();
		this.listeners.clear();
	}

	async close(): Promise<void> {
		this.ended.abort();
		this.hangUp();
		await this.running;
	}

	private async rounds(): Promise<void> {
		const { signal } = this.ended;
		while (this.dirty && this.listeners.size > 0 && !signal.aborted) {
			this.dirty = false;
			for (const state of this.feeds) {
				try {
					await this.round(state);
				} catch (error) {
					this.log.warn(
						{ feed: state.feed.name },
						`no news: ${describe(error)}`,
					);
				}
			}
			await sleep(SECOND, signal).catch(() => undefined);
		}
		this.active = false;
	}

	private async round(state: FeedState): Promise<void> {
		const began = performance.now();
		if (began < state.due) {
			this.dirty = true;
			return;
		}
		const { sent } = state;
		const rows = await state.feed.read();
		state.due = performance.now() + (performance.now() - began) / EFFORT;
		const first = sent.size === 0;
		const changed: unknown[] = [];
		const gone = new Set(sent.keys());
		for (const row of rows) {
			gone.delete(row.id);
			const json = JSON.stringify(row);
			if (sent.get(row.id) === json) continue;
			sent.set(row.id, json);
			changed.push(row);
		}
		for (const id of gone) sent.delete(id);
		if (first || changed.length > 0 || gone.size > 0)
			this.send(state.feed.name, {
				whole: first,
				changed,
				gone: [...gone],
			});
	}

	private send(name: string, data: unknown): void {
		const text = `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
		for (const response of this.listeners) {
			// A page that does not read is let go; its browser comes back and gets everything anew.
			if (response.writableLength > 8 * 1024 * 1024) response.destroy();
			else response.write(text);
		}
	}
}
