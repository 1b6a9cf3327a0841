import type { Keys, TitleKey } from "../act/ports.ts";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { HOUR } from "../base/time.ts";
import type { TitleCipher } from "../content/cipher.ts";
import { commitmentOf } from "../content/hash.ts";
import type { Manifest } from "../content/manifest.ts";
import type { Identity } from "../control/verify.ts";
import type { TitleId } from "../wire/ids.ts";
import { KeyFolder } from "./keyfolder.ts";
import { decodeKeyLease, type KeyLease, readKeyLease } from "./keylease.ts";
import { OpenKey } from "./openkey.ts";
import type { Vault } from "./vault.ts";

/** Asks the headend; gives the signed command that carries the key. Rejects with TITLE_KEY_DENIED or TITLE_KEY_UNAVAILABLE. */
export type AskForKey = (id: TitleId, signal: AbortSignal) => Promise<Buffer>;

export interface TitleKeysOptions {
	readonly folder: string;
	readonly identity: Identity;
	readonly vault: Vault;
	readonly ask: AskForKey;
	readonly log: Log;
}

/**
 * Title keys of this box, each leased for a while and opened only while its title is.
 * Invariants: open keys, those on their way included, are in `inUse`, so that `forget` reaches them all. A lease that was
 * looked at is in `leases` until it is over: read from the disk again, it would forget how much of it has gone by.
 */
export class TitleKeys implements Keys {
	private readonly options: TitleKeysOptions;
	private readonly folder: KeyFolder;
	private readonly inUse = new Set<OpenKey>();
	private readonly leases = new Map<TitleId, KeyLease>();
	private readonly sweeper: NodeJS.Timeout;

	constructor(options: TitleKeysOptions) {
		this.options = options;
		this.folder = new KeyFolder(options.folder, options.log);
		this.sweeper = setInterval(() => void this.sweep(), HOUR).unref();
	}

	async open(
		id: TitleId,
		manifest: Promise<Manifest>,
		signal: AbortSignal,
	): Promise<TitleKey> {
		// It may fail while nobody looks at it yet; it is awaited below.
		manifest.catch(() => undefined);
		const key: OpenKey = new OpenKey(id, () => this.renew(key, manifest));
		this.inUse.add(key);
		key.ended.addEventListener("abort", () => this.inUse.delete(key));
		let isOver = false;
		try {
			const lease = this.leases.get(id) ?? (await this.load(id));
			isOver = lease === "ended" || lease?.left === 0;
			const counts =
				typeof lease === "object" &&
				lease.left > 0 &&
				lease.counts(this.options.identity);
			const cipher = counts && this.unseal(lease, await manifest);
			if (counts && cipher) key.take(lease, cipher);
			else await this.fetch(key, manifest, signal);
			key.ended.throwIfAborted();
			return key;
		} catch (cause) {
			key.close();
			if (!isOver || !has(cause, "TITLE_KEY_UNAVAILABLE")) throw cause;
			const what = "the time for which this box may play the title is over";
			throw new LarderError("TITLE_KEY_EXPIRED", what, { cause });
		}
	}

	/**
	 * The box may not play the title any more, or it is taken back: its key goes, and whoever plays it is told why.
	 * Rejects with what the disk says.
	 */
	async forget(
		id: TitleId,
		why: Error = new LarderError(
			"TITLE_KEY_DENIED",
			"the operator took the title's key back",
		),
	): Promise<void> {
		for (const key of this.inUse) if (key.id === id) key.end(why);
		this.leases.delete(id);
		await this.folder.remove(id);
	}

	/** How much of each lease has gone by is on disk, as far as it lets us. */
	async close(): Promise<void> {
		clearInterval(this.sweeper);
		for (const key of this.inUse) key.close();
		await this.keepAll();
	}

	private async load(id: TitleId): Promise<KeyLease | "ended" | undefined> {
		const kept = await this.folder.read(id);
		if (kept === undefined) return undefined;
		const read = decodeKeyLease(kept, id, this.options.identity);
		if (!read.ok) return read.reason === "ended" ? "ended" : undefined;
		this.leases.set(id, read.value);
		return read.value;
	}

	private async fetch(
		key: OpenKey,
		manifest: Promise<Manifest>,
		signal: AbortSignal,
	): Promise<void> {
		const { identity, ask } = this.options;
		const { id, ended } = key;
		const bytes = await ask(id, AbortSignal.any([signal, ended]));
		const lease = readKeyLease(bytes, id, identity);
		const cipher = lease.ok && this.unseal(lease.value, await manifest);
		if (!lease.ok || !cipher)
			throw new LarderError(
				"TITLE_KEY_UNAVAILABLE",
				"the key that came is not this title's",
				lease.ok ? {} : { cause: new Error(lease.reason) },
			);
		key.take(lease.value, cipher);
		if (ended.aborted) return;
		this.leases.set(id, lease.value);
		// Nobody needs to wait for the disk: after a restart the key is asked for again.
		void this.folder.keep(id, lease.value.encode());
	}

	/** The film goes on meanwhile, and after a failure until its lease ends; only a denial ends it at once. */
	private async renew(
		key: OpenKey,
		manifest: Promise<Manifest>,
	): Promise<void> {
		const { log } = this.options;
		try {
			await this.fetch(key, manifest, key.ended);
		} catch (error) {
			if (key.ended.aborted) return;
			log.debug({ error: describe(error) }, "a key was not renewed");
			if (!has(error, "TITLE_KEY_DENIED")) return;
			await this.forget(key.id, error).catch((error: unknown) => {
				log.error({ err: error }, "a key was not removed");
			});
		}
	}

	private unseal(
		{ sealed }: KeyLease,
		{ cipher }: Manifest,
	): TitleCipher | undefined {
		const key = this.options.vault.open(sealed);
		if (key === undefined || commitmentOf(key) !== cipher.keyCommitment)
			return undefined;
		return { key, nonce: Buffer.from(cipher.nonce, "hex") };
	}

	/** What is over only tells what was watched. */
	private async sweep(): Promise<void> {
		const { identity, log } = this.options;
		for (const [id, { left }] of this.leases)
			if (left === 0) this.leases.delete(id);
		try {
			await this.keepAll();
			await this.folder.sweep(
				(id, bytes) => decodeKeyLease(bytes, id, identity).ok,
			);
		} catch (error) {
			log.warn({ err: error }, "old keys were not removed");
		}
	}

	private async keepAll(): Promise<void> {
		const kept = [...this.leases].map(([id, lease]) =>
			this.folder.keep(id, lease.encode()),
		);
		await Promise.all(kept);
	}
}

function has(error: unknown, code: LarderError["code"]): error is LarderError {
	return error instanceof LarderError && error.code === code;
}
