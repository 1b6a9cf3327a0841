import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Keys } from "../act/ports.ts";
import { LarderError, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import type { TitleCipher } from "../content/cipher.ts";
import { commitmentOf } from "../content/hash.ts";
import type { Manifest } from "../content/manifest.ts";
import { short, type TitleId } from "../wire/ids.ts";
import type { KeyPair } from "../wire/keys.ts";
import { openSealed } from "../wire/sealed.ts";

/** Asks the headend; gives the sealed key, base64. */
export type AskForKey = (
	id: TitleId,
	signal: AbortSignal,
) => Promise<{ readonly sealed: string }>;

/** Title keys of this box. On disk they lie as they came: sealed to the box's own key. */
export class TitleKeys implements Keys {
	private readonly folder: string;
	private readonly keyPair: KeyPair;
	private readonly ask: AskForKey;
	private readonly log: Log;
	private readonly open = new Map<TitleId, TitleCipher>();

	constructor(folder: string, keyPair: KeyPair, ask: AskForKey, log: Log) {
		this.folder = folder;
		this.keyPair = keyPair;
		this.ask = ask;
		this.log = log;
	}

	async cipher(
		id: TitleId,
		manifest: Promise<Manifest>,
		signal: AbortSignal,
	): Promise<TitleCipher> {
		// It may fail while nobody looks at it yet; it is awaited below.
		manifest.catch(() => undefined);
		const known = this.open.get(id);
		if (known !== undefined) return known;
		const kept = await this.read(id);
		const cipher =
			(kept && this.unseal(kept, await manifest)) ??
			(await this.request(id, manifest, signal));
		this.open.set(id, cipher);
		return cipher;
	}

	/** The title is taken back: its key goes, too. */
	async forget(id: TitleId): Promise<void> {
		this.open.delete(id);
		await rm(join(this.folder, id), { force: true });
	}

	private async request(
		id: TitleId,
		manifest: Promise<Manifest>,
		signal: AbortSignal,
	): Promise<TitleCipher> {
		const { sealed } = await this.ask(id, signal);
		const bytes = Buffer.from(sealed, "base64");
		const cipher = this.unseal(bytes, await manifest);
		if (cipher === undefined) {
			throw new LarderError(
				"TITLE_KEY_UNAVAILABLE",
				`the key that came for ${short(id)} is not this title's`,
			);
		}
		// The film does not wait for the disk, and plays without it; after a restart the key is asked for again.
		this.keep(id, bytes).catch((error: unknown) => {
			this.log.warn({ err: error, title: short(id) }, "a key was not kept");
		});
		return cipher;
	}

	private unseal(sealed: Buffer, manifest: Manifest): TitleCipher | undefined {
		const { nonce, keyCommitment } = manifest.cipher;
		const key = openSealed(this.keyPair, sealed);
		if (key === undefined || commitmentOf(key) !== keyCommitment) {
			return undefined;
		}
		return { key, nonce: Buffer.from(nonce, "hex") };
	}

	private async read(id: TitleId): Promise<Buffer | undefined> {
		try {
			return await readFile(join(this.folder, id));
		} catch (error) {
			if (systemCode(error) === "ENOENT") return undefined;
			this.log.warn({ err: error, title: short(id) }, "a key was not read");
			return undefined;
		}
	}

	private async keep(id: TitleId, sealed: Buffer): Promise<void> {
		await mkdir(this.folder, { recursive: true, mode: 0o700 });
		const part = join(this.folder, `${id}.part`);
		await writeFile(part, sealed, { mode: 0o600 });
		await rename(part, join(this.folder, id));
	}
}
