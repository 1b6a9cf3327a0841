import type { Message } from "protomux";
import { NeighbourFailed } from "../act/ports.ts";
import { monotonic, SECOND } from "../base/time.ts";
import { type Bytes, KiB, MiB, type Millis, type Rate } from "../base/units.ts";
import type {
	ExchangeChunk,
	ExchangeRefusal,
	ExchangeRequest,
} from "../wire/exchange.ts";

/** A neighbour that owes bytes and sends none for so long is given up on. */
const SILENCE: Millis = 4 * SECOND;
/** An unproven neighbour gets a little; a proven one about half a second's worth of what it has shown. */
const FIRST_WINDOW: Bytes = 512 * KiB;
const LEAST_WINDOW: Bytes = 256 * KiB;
const LARGEST_WINDOW: Bytes = 4 * MiB;
/** What a neighbour that fell silent is taken for, until it has sent something again: the last to be asked. */
const SILENT: Rate = 1;
const WINDOW_SECONDS = 0.5;
/** Weight of a new sample in the moving averages. */
const FRESHNESS = 0.3;
const SAMPLE: Millis = 200;
const FIRST_SAMPLE: Millis = 50;

interface Pending {
	readonly asked: Millis;
	readonly limit: Bytes;
	readonly exact: Bytes | undefined;
	received: Bytes;
	readonly onBytes: (offset: Bytes, total: Bytes, bytes: Buffer) => void;
	readonly done: () => void;
	readonly fail: (error: Error) => void;
}

export interface Ask {
	readonly request: Omit<ExchangeRequest, "id">;
	/** Bytes that the answer must have; undefined when only `limit` is known. */
	readonly exact?: Bytes;
	readonly limit: Bytes;
	readonly onBytes: (offset: Bytes, total: Bytes, bytes: Buffer) => void;
}

/**
 * Asks one neighbour over one connection, bounds what is in flight and measures it.
 * Invariant: `inFlight` is the sum of what pending requests still wait for.
 */
export class Download {
	private readonly requests: Message<ExchangeRequest>;
	private readonly cancels: Message<number>;
	private readonly onReceived: (bytes: Bytes) => void;
	private readonly pending = new Map<number, Pending>();
	private nextId = 1;
	private closed = false;
	private silence: NodeJS.Timeout | undefined;
	private sampleBytes = 0;
	private sampleSince: Millis = 0;
	inFlight: Bytes = 0;
	throughput: Rate = 0;
	roundTrip: Millis = 0;

	constructor(
		requests: Message<ExchangeRequest>,
		cancels: Message<number>,
		onReceived: (bytes: Bytes) => void,
	) {
		this.requests = requests;
		this.cancels = cancels;
		this.onReceived = onReceived;
	}

	get window(): Bytes {
		if (this.throughput === 0) return FIRST_WINDOW;
		const worth = this.throughput * WINDOW_SECONDS;
		return Math.max(LEAST_WINDOW, Math.min(LARGEST_WINDOW, worth));
	}

	/** Resolves when the whole answer has come. Rejects with NeighbourFailed (`timeout`, `gone`, a refusal, `malformed`). */
	ask(ask: Ask, signal: AbortSignal): Promise<void> {
		if (this.closed) return Promise.reject(new NeighbourFailed("gone"));
		if (signal.aborted) return Promise.reject(signal.reason as Error);
		const id = this.nextId++;
		return new Promise((resolve, reject) => {
			const finish = () => {
				signal.removeEventListener("abort", abort);
				this.settle(id);
			};
			const abort = () => {
				if (!this.pending.has(id)) return;
				finish();
				this.cancels.send(id);
				reject(signal.reason as Error);
			};
			const pending: Pending = {
				asked: monotonic(),
				limit: ask.limit,
				exact: ask.exact,
				received: 0,
				onBytes: ask.onBytes,
				done: () => {
					finish();
					resolve();
				},
				fail: (error) => {
					finish();
					reject(error);
				},
			};
			signal.addEventListener("abort", abort);
			if (this.pending.size === 0) this.startWaiting();
			this.pending.set(id, pending);
			this.inFlight += ask.exact ?? 0;
			this.requests.send({ id, ...ask.request });
		});
	}

	onChunk({ id, offset, total, bytes }: ExchangeChunk): void {
		const pending = this.pending.get(id);
		// Bytes of a request that was cancelled while they were on their way.
		if (pending === undefined) return;
		const wrongSize =
			pending.exact === undefined
				? total > pending.limit
				: total !== pending.exact;
		if (
			wrongSize ||
			offset !== pending.received ||
			bytes.byteLength === 0 ||
			offset + bytes.byteLength > total
		) {
			this.fail(id, pending, "malformed");
			return;
		}
		this.measure(pending, bytes.byteLength);
		pending.received += bytes.byteLength;
		if (pending.exact !== undefined) this.inFlight -= bytes.byteLength;
		const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
		pending.onBytes(offset, total, view);
		if (pending.received === total) pending.done();
	}

	onRefusal({ id, reason }: ExchangeRefusal): void {
		const pending = this.pending.get(id);
		if (pending === undefined) return;
		pending.fail(new NeighbourFailed(reason));
		if (this.pending.size > 0) this.heard();
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.silence);
		for (const pending of [...this.pending.values()]) {
			pending.fail(new NeighbourFailed("gone"));
		}
	}

	private settle(id: number): void {
		const pending = this.pending.get(id);
		if (pending === undefined) return;
		this.pending.delete(id);
		if (pending.exact !== undefined) {
			this.inFlight -= pending.exact - pending.received;
		}
		if (this.pending.size === 0) clearTimeout(this.silence);
	}

	private fail(id: number, pending: Pending, slug: string): void {
		this.cancels.send(id);
		pending.fail(new NeighbourFailed(slug));
	}

	private startWaiting(): void {
		this.sampleBytes = 0;
		this.sampleSince = monotonic();
		this.heard();
	}

	/** The neighbour gave a sign: its silence is counted from now. */
	private heard(): void {
		clearTimeout(this.silence);
		if (this.closed) return;
		this.silence = setTimeout(() => {
			// What it owed was asked for in vain; that is its measure now.
			this.throughput = SILENT;
			for (const [id, pending] of [...this.pending]) {
				this.fail(id, pending, "timeout");
			}
		}, SILENCE);
		this.silence.unref();
	}

	private measure(pending: Pending, bytes: Bytes): void {
		const now = monotonic();
		this.onReceived(bytes);
		if (this.silence !== undefined) this.silence.refresh();
		if (pending.received === 0) {
			const waited = now - pending.asked;
			this.roundTrip =
				this.roundTrip === 0 ? waited : blend(this.roundTrip, waited);
		}
		this.sampleBytes += bytes;
		const span = now - this.sampleSince;
		if (span < (this.throughput > 0 ? SAMPLE : FIRST_SAMPLE)) return;
		const rate = (this.sampleBytes / span) * 1000;
		this.throughput =
			this.throughput === 0 ? rate : blend(this.throughput, rate);
		this.sampleBytes = 0;
		this.sampleSince = now;
	}
}

function blend(old: number, sample: number): number {
	return old * (1 - FRESHNESS) + sample * FRESHNESS;
}
