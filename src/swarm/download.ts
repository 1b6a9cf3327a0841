import type { Message } from "protomux";
import { NeighbourFailed } from "../act/ports.ts";
import { monotonic, SECOND } from "../base/time.ts";
import { type Bytes, KiB, MiB, type Millis, type Rate } from "../base/units.ts";
import type {
	ExchangeChunk,
	ExchangeRefusal,
	ExchangeRequest,
} from "../wire/exchange.ts";
import { Measure } from "./measure.ts";

/** A neighbour that owes bytes and sends fewer than LEAST for so long is given up on. */
const SILENCE: Millis = 4 * SECOND;
const LEAST: Bytes = 16 * KiB;
/** What a viewer waits for must be here whole by then, however steadily it drips. */
const URGENT_LIMIT: Millis = 4 * SECOND;
/** Who was silent, or is about to sleep, is not asked for so long; twice as long after each further silence, up to the longest. */
const FIRST_REST: Millis = 2 * SECOND;
const LONGEST_REST: Millis = 8 * SECOND;
/** Of who is busy: households are for hours, and each answer that it does not give takes some of the uplink that it needs. */
const LONGEST_BUSY: Millis = 30 * SECOND;
/** Who is silent so often, with no blocks in between, is cut off. */
const TOO_OFTEN = 3;
/** All chunks but the last of an answer carry at least so much: crumbs would cost more memory than they bring. */
const LEAST_CHUNK: Bytes = KiB;
/** An unproven neighbour gets a little; a proven one about half a second's worth of what it has shown. */
const FIRST_WINDOW: Bytes = 512 * KiB;
const LEAST_WINDOW: Bytes = 256 * KiB;
const LARGEST_WINDOW: Bytes = 4 * MiB;
const WINDOW_SECONDS = 0.5;

export interface DownloadPorts {
	readonly onReceived: (bytes: Bytes) => void;
	/** The neighbour does what no honest one does. */
	readonly onOffence: (slug: string) => void;
}

export interface Ask {
	readonly request: Omit<ExchangeRequest, "id">;
	/** Bytes that the answer must have; undefined when only `limit` is known. */
	readonly exact?: Bytes;
	readonly limit: Bytes;
	readonly onBytes: (bytes: Buffer) => void;
}

interface Pending {
	readonly ask: Ask;
	readonly asked: Millis;
	/** Nothing else was owed when it was asked for. */
	readonly alone: boolean;
	received: Bytes;
	readonly settle: (error?: Error) => void;
}

/**
 * Asks one neighbour over one connection, bounds what is in flight and measures it.
 * Invariant: `inFlight` is the sum of what pending requests still wait for.
 */
export class Download {
	private readonly requests: Message<ExchangeRequest>;
	private readonly cancels: Message<number>;
	private readonly ports: DownloadPorts;
	private readonly pending = new Map<number, Pending>();
	private readonly measure = new Measure();
	private nextId = 1;
	private closed = false;
	private silence: NodeJS.Timeout | undefined;
	/** Bytes since the neighbour's silence was last counted anew. */
	private heard: Bytes = 0;
	/** When it last gave anything worth it. */
	private heardAt: Millis = Number.NEGATIVE_INFINITY;
	private silences = 0;
	/** How often in a row it was busy. */
	private busies = 0;
	/** Whether it may be gone, as far as one knows. */
	private doubted = false;
	private restUntil: Millis = 0;
	private restWhy = "timeout";
	inFlight: Bytes = 0;

	constructor(
		requests: Message<ExchangeRequest>,
		cancels: Message<number>,
		ports: DownloadPorts,
	) {
		this.requests = requests;
		this.cancels = cancels;
		this.ports = ports;
	}

	get throughput(): Rate {
		return this.measure.throughput;
	}

	get roundTrip(): Millis {
		return this.measure.roundTrip;
	}

	/** Whether it was silent or busy or left a moment ago, and is better not asked for anything yet. */
	get isResting(): boolean {
		return this.resting !== undefined;
	}

	/** Which of these it was: a slug. */
	get resting(): string | undefined {
		return monotonic() < this.restUntil ? this.restWhy : undefined;
	}

	get window(): Bytes {
		// One request at a time shows whether it is back.
		if (this.measure.isSilent || this.busies > 0 || this.doubted) return 0;
		if (this.throughput === 0) return FIRST_WINDOW;
		const worth = this.throughput * WINDOW_SECONDS;
		return Math.max(LEAST_WINDOW, Math.min(LARGEST_WINDOW, worth));
	}

	get isClosed(): boolean {
		return this.closed;
	}

	/** Resolves when the whole answer has come. Rejects with NeighbourFailed (`timeout`, `gone`, a refusal, `malformed`). */
	ask(ask: Ask, signal: AbortSignal): Promise<void> {
		if (this.closed) return Promise.reject(new NeighbourFailed("gone"));
		if (signal.aborted) return Promise.reject(signal.reason as Error);
		const id = this.nextId++;
		return new Promise((resolve, reject) => {
			const abort = () => this.giveUp(id, signal.reason as Error);
			const late = ask.request.urgent
				? setTimeout(() => this.late(id), URGENT_LIMIT)
				: undefined;
			const settle = (error?: Error) => {
				clearTimeout(late);
				signal.removeEventListener("abort", abort);
				if (error === undefined) resolve();
				else reject(error);
			};
			signal.addEventListener("abort", abort);
			const asked = monotonic();
			const alone = this.pending.size === 0;
			if (alone) {
				this.measure.start(asked);
				this.listen();
			}
			this.pending.set(id, { ask, asked, alone, received: 0, settle });
			this.inFlight += ask.exact ?? 0;
			this.requests.send({ id, ...ask.request });
		});
	}

	onChunk({ id, offset, total, bytes }: ExchangeChunk): void {
		const pending = this.pending.get(id);
		// Bytes of a request that was cancelled while they were on their way.
		if (pending === undefined) return;
		const { ask } = pending;
		const length = bytes.byteLength;
		const wrongSize =
			ask.exact === undefined ? total > ask.limit : total !== ask.exact;
		if (
			wrongSize ||
			offset !== pending.received ||
			length < Math.max(1, Math.min(LEAST_CHUNK, total - offset)) ||
			offset + length > total
		) {
			this.giveUp(id, new NeighbourFailed("malformed"));
			this.ports.onOffence("malformed");
			return;
		}
		const now = monotonic();
		if (offset === 0 && pending.alone) {
			this.measure.answered(now - pending.asked);
		}
		this.measure.received(length, now);
		this.ports.onReceived(length);
		pending.received += length;
		if (ask.exact !== undefined) this.inFlight -= length;
		this.heard += length;
		const isWhole = pending.received === total;
		if (isWhole || this.heard >= LEAST) {
			this.heardAt = now;
			this.listen();
		}
		ask.onBytes(Buffer.from(bytes.buffer, bytes.byteOffset, length));
		if (!isWhole) return;
		// Small answers prove little: it may still be mute about what it is there for.
		if (ask.request.wanted === "blocks") {
			this.silences = this.busies = 0;
			this.doubted = false;
		}
		this.end(id);
	}

	onRefusal({ id, reason }: ExchangeRefusal): void {
		if (!this.pending.has(id)) return;
		this.listen();
		// It says of no shard that it has it, too, but that may come later.
		if (reason === "leaving") this.rest(reason, FIRST_REST);
		// What else was asked for before is refused with it.
		if (reason === "busy" && !this.isResting) {
			const rest = FIRST_REST * 2 ** this.busies++;
			this.rest(reason, Math.min(LONGEST_BUSY, rest));
		}
		this.end(id, new NeighbourFailed(reason));
	}

	/** Another connection to the neighbour was lost: if it crashed nothing comes on this one, and nobody notices for long. */
	doubt(): void {
		this.doubted = true;
	}

	close(): void {
		this.closed = true;
		for (const id of [...this.pending.keys()]) {
			this.end(id, new NeighbourFailed("gone"));
		}
	}

	/** The neighbour gave a sign: its silence is counted from now. */
	private listen(): void {
		this.heard = 0;
		clearTimeout(this.silence);
		this.silence = setTimeout(() => {
			for (const id of [...this.pending.keys()]) this.timeout(id);
		}, SILENCE);
	}

	/** What a viewer waits for is not here. Who gave others meanwhile has much to do, and was not silent. */
	private late(id: number): void {
		const { asked = Number.POSITIVE_INFINITY } = this.pending.get(id) ?? {};
		if (this.heardAt < asked) this.timeout(id);
		else this.giveUp(id, new NeighbourFailed("timeout"));
	}

	private timeout(id: number): void {
		this.measure.silent();
		this.giveUp(id, new NeighbourFailed("timeout"));
		// What was asked for before is no further silence.
		if (this.isResting) return;
		const rest = Math.min(LONGEST_REST, FIRST_REST * 2 ** this.silences++);
		this.rest("timeout", rest);
		if (this.silences >= TOO_OFTEN) this.ports.onOffence("silent");
	}

	private rest(why: string, span: Millis): void {
		this.restWhy = why;
		this.restUntil = monotonic() + span;
	}

	private giveUp(id: number, error: Error): void {
		if (!this.pending.has(id)) return;
		this.cancels.send(id);
		this.end(id, error);
	}

	private end(id: number, error?: Error): void {
		const pending = this.pending.get(id);
		if (pending === undefined) return;
		this.pending.delete(id);
		const { exact } = pending.ask;
		if (exact !== undefined) this.inFlight -= exact - pending.received;
		if (this.pending.size === 0) clearTimeout(this.silence);
		pending.settle(error);
	}
}
