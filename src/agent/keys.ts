import type { Keys, TitleKey } from "../act/ports.ts";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { HOUR } from "../base/time.ts";
import type { TitleCipher } from "../content/cipher.ts";
import { commitmentOf } from "../content/hash.ts";
import type { Manifest } from "../content/manifest.ts";
import type { Identity } from "../control/verify.ts";
import { short, type TitleId } from "../wire/ids.ts";
import { KeyFolder } from "./keyfolder.ts";
import { type KeyLease, readKeyLease } from "./keylease.ts";
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
 * Title keys of this box, each leased for a while and in memory only while its title is open.
 * Invariant: `open` keys, those on their way included, are in `inUse`, so that `forget` reaches them all.
 */
export class TitleKeys implements Keys {
	private readonly options: TitleKeysOptions;
	private readonly folder: KeyFolder;
	private readonly inUse = new Set<OpenKey>();
	private readonly sweeper: NodeJS.Timeout;

	constructor(options: TitleKeysOptions) {
		this.options = options;
		this.folder = new KeyFolder(options.folder, options.log);
		this.sweeper = setInterval(() => this.sweep(), HOUR).unref();
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
		const kept = await this.folder.read(id);
		const lease = kept && readKeyLease(kept, id, this.options.identity);
		try {
			const cipher = lease?.ok && this.unseal(lease.value, await manifest);
			if (lease?.ok && cipher) key.take(lease.value, cipher);
			else await this.fetch(key, manifest, signal);
			key.ended.throwIfAborted();
			return key;
		} catch (cause) {
			key.close();
			const isOver = lease?.ok === false && lease.reason === "ended";
			if (!isOver || !has(cause, "TITLE_KEY_UNAVAILABLE")) throw cause;
			const what = `the time for which this box may play ${short(id)} is over`;
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
			`the operator took the key of ${short(id)} back`,
		),
	): Promise<void> {
		for (const key of this.inUse) if (key.id === id) key.end(why);
		await this.folder.remove(id);
	}

	close(): void {
		clearInterval(this.sweeper);
		for (const key of this.inUse) key.close();
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
				`the key that came for ${short(id)} is not this title's`,
				lease.ok ? {} : { cause: new Error(lease.reason) },
			);
		key.take(lease.value, cipher);
		if (!ended.aborted) this.folder.keep(id, bytes);
	}

	/** The film goes on meanwhile, and after a failure until its lease ends; only a denial ends it at once. */
	private async renew(
		key: OpenKey,
		manifest: Promise<Manifest>,
	): Promise<void> {
		const { log } = this.options;
		const title = short(key.id);
		try {
			await this.fetch(key, manifest, key.ended);
		} catch (error) {
			if (key.ended.aborted) return;
			log.debug({ title, error: describe(error) }, "a key was not renewed");
			if (!has(error, "TITLE_KEY_DENIED")) return;
			await this.forget(key.id, error).catch((error: unknown) => {
				log.error({ err: error, title }, "a key was not removed");
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

	private sweep(): void {
		const { identity, log } = this.options;
		this.folder
			.sweep((id, bytes) => readKeyLease(bytes, id, identity).ok)
			.catch((error: unknown) => {
				log.warn({ err: error }, "old keys were not removed");
			});
	}
}

function has(error: unknown, code: LarderError["code"]): error is LarderError {
	return error instanceof LarderError && error.code === code;
}
