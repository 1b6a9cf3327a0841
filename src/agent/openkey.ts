import type { TitleKey } from "../act/ports.ts";
import { LarderError } from "../base/errors.ts";
import { MINUTE, monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { applyCipher, type TitleCipher } from "../content/cipher.ts";
import type { TitleId } from "../wire/ids.ts";
import type { KeyLease } from "./keylease.ts";

/** A lease is looked at this often at least: a clock may be put right while a film stands still. */
const LOOK: Millis = MINUTE;
/** After a renewal that failed, the next one waits for so much of what is left, up to twice that. */
const PAUSE = 1 / 8;

/**
 * A title's key while the title is open. Invariant: it holds a key, which lies nowhere else, from the first `take` until
 * it ends; and it ends, at the latest, at the first use after its lease.
 */
export class OpenKey implements TitleKey {
	readonly id: TitleId;
	private readonly renew: () => Promise<void>;
	private readonly ending = new AbortController();
	private held: { lease: KeyLease; cipher: TitleCipher } | undefined;
	private timer: NodeJS.Timeout | undefined;
	private renewing = false;
	/** By the monotonic clock: when a renewal may be tried again. */
	private retry: Millis = 0;

	/** @param renew asks for another lease and calls `take`; does not reject */
	constructor(id: TitleId, renew: () => Promise<void>) {
		this.id = id;
		this.renew = renew;
	}

	get ended(): AbortSignal {
		return this.ending.signal;
	}

	/** Goes on with this lease, and owns its key. */
	take(lease: KeyLease, cipher: TitleCipher): void {
		this.wipe();
		this.held = { lease, cipher };
		if (this.ended.aborted) this.wipe();
		else this.watch();
	}

	decipher(offset: Bytes, bytes: Uint8Array): Buffer {
		if (this.held?.lease.left === 0) this.expire();
		this.ended.throwIfAborted();
		if (this.held === undefined)
			throw new LarderError("TITLE_KEY_UNAVAILABLE", "no key came yet");
		return applyCipher(this.held.cipher, offset, bytes);
	}

	/** @param why what whoever plays it is told */
	end(why: Error): void {
		this.ending.abort(why);
		clearTimeout(this.timer);
		this.wipe();
	}

	close(): void {
		this.end(new DOMException("the title was closed", "AbortError"));
	}

	private expire(): void {
		this.end(
			new LarderError(
				"TITLE_KEY_EXPIRED",
				"the time for which this box may play the title is over",
			),
		);
	}

	private wipe(): void {
		this.held?.cipher.key.fill(0);
		this.held = undefined;
	}

	private watch(): void {
		clearTimeout(this.timer);
		const lease = this.held?.lease;
		if (lease === undefined) return;
		if (lease.left === 0) {
			this.expire();
			return;
		}
		const due = Math.max(lease.renewIn, this.retry - monotonic());
		if (due <= 0 && !this.renewing) void this.ask(lease);
		const next = this.renewing ? LOOK : due;
		const wait = Math.min(lease.left, next, LOOK);
		this.timer = setTimeout(() => this.watch(), wait).unref();
	}

	private async ask(lease: KeyLease): Promise<void> {
		this.renewing = true;
		await this.renew();
		this.renewing = false;
		const pause = lease.left * PAUSE * (1 + Math.random());
		this.retry = monotonic() + Math.max(SECOND, pause);
		this.watch();
	}
}
