import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SECOND } from "../../src/base/time.ts";
import type { Bytes, Millis } from "../../src/base/units.ts";

/** As hls.js does by default with a segment that fails: so many tries more, after waits that double up to the longest. */
const TRIES = 6;
const FIRST_WAIT: Millis = SECOND;
const LONGEST_WAIT: Millis = 8 * SECOND;

export interface FetchOptions {
	/** Whether what fails is asked for again. */
	readonly retries: boolean;
	/** What was published: each answer is compared with the file of its path there. */
	readonly original:
		| { readonly base: string; readonly folder: string }
		| undefined;
}

/** A title's files over HTTP, as a player gets them. */
export class Files {
	/** How many came otherwise than they were published. */
	wrong = 0;
	/** How many had to be asked for again. */
	again = 0;
	private readonly options: FetchOptions;

	constructor(options: FetchOptions) {
		this.options = options;
	}

	/** All of one; `onFirst` at its first byte. Throws when it fails, after its retries. */
	async get(
		url: string,
		signal: AbortSignal,
		onFirst: () => void = () => undefined,
	): Promise<Buffer> {
		for (let tries = 0; ; tries++) {
			try {
				const bytes = await whole(url, signal, onFirst);
				await this.compare(url, bytes);
				return bytes;
			} catch (error) {
				if (signal.aborted || !this.options.retries || tries === TRIES)
					throw error;
				this.again++;
				const wait = Math.min(FIRST_WAIT * 2 ** tries, LONGEST_WAIT);
				await sleep(wait, undefined, { signal });
			}
		}
	}

	private async compare(url: string, bytes: Buffer): Promise<void> {
		const { original } = this.options;
		if (original === undefined) return;
		const path = url.slice(original.base.length);
		const published = await readFile(join(original.folder, path));
		if (!published.equals(bytes)) this.wrong++;
	}
}

async function whole(
	url: string,
	signal: AbortSignal,
	onFirst: () => void,
): Promise<Buffer> {
	const answer = await fetch(url, { signal });
	if (!answer.ok || answer.body === null)
		throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
	const parts: Uint8Array[] = [];
	let bytes: Bytes = 0;
	for await (const part of answer.body) {
		if (bytes === 0) onFirst();
		bytes += part.length;
		parts.push(part);
	}
	return Buffer.concat(parts, bytes);
}
