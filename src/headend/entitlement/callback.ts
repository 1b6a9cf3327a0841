import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import * as z from "zod/mini";
import { describe, LarderError } from "../../base/errors.ts";
import { bad, type Result } from "../../base/result.ts";
import type { Bytes, Millis } from "../../base/units.ts";
import {
	type BoxId,
	instant,
	type Region,
	type TitleId,
} from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import type { OperatorConfig } from "../operator/config.ts";

/** What the operator's own system is asked, as JSON. */
export interface Question {
	readonly box: BoxId;
	readonly serial: string;
	readonly title: TitleId;
	/** The operator's id of the title. */
	readonly asset: string;
	readonly region: Region;
	/** Milliseconds since 1970. */
	readonly at: Millis;
}

/** What it answers, as JSON. */
const callbackAnswer = z.object({
	allow: z.boolean(),
	/** Milliseconds since 1970: until when, whatever else would let the box play it longer. */
	until: z.optional(instant),
	/** Why not: a short slug, which the box is told. */
	reason: z.optional(z.string().check(z.regex(/^[a-z0-9-]{1,64}$/))),
});
export type CallbackAnswer = z.output<typeof callbackAnswer>;

/** As much as an answer may say. */
const LARGEST: Bytes = 4096;

export interface CallbackOptions {
	readonly url: string;
	/** Sent as a bearer token. */
	readonly secret: string | undefined;
	/** For waiting in line and for the answer together. */
	readonly timeout: Millis;
	/** Questions that are asked at a time. */
	readonly concurrency: number;
}

/** Asks the operator's own system who may play what. Invariant: `asking` questions are on their way, the others are in line. */
export class Callback {
	private readonly options: CallbackOptions;
	private readonly line: (() => void)[] = [];
	private asking = 0;

	constructor(options: CallbackOptions) {
		this.options = options;
	}

	/** `callback-failed` when there is no answer in time, or none that says anything. */
	async ask(question: Question): Promise<Result<CallbackAnswer>> {
		const { url, secret, timeout } = this.options;
		const signal = AbortSignal.timeout(timeout);
		try {
			await this.enter(signal);
		} catch (error) {
			return bad("callback-failed", `in line: ${describe(error)}`);
		}
		try {
			const response = await fetch(url, {
				method: "POST",
				headers: {
					"content-type": "application/json",
					...(secret !== undefined && { authorization: `Bearer ${secret}` }),
				},
				body: JSON.stringify(question),
				// The secret is for this address and no other.
				redirect: "error",
				signal,
			});
			if (!response.ok)
				return bad("callback-failed", `HTTP ${response.status}`);
			const bytes = await atMost(response, LARGEST);
			const read = parseMessage(callbackAnswer, bytes);
			return read.ok ? read : bad("callback-failed", read.detail);
		} catch (error) {
			return bad("callback-failed", describe(error));
		} finally {
			this.leave();
		}
	}

	private async enter(signal: AbortSignal): Promise<void> {
		if (this.asking < this.options.concurrency) {
			this.asking++;
			return;
		}
		const turn = Promise.withResolvers<void>();
		this.line.push(turn.resolve);
		const give = () => {
			const at = this.line.indexOf(turn.resolve);
			if (at < 0) return;
			this.line.splice(at, 1);
			turn.reject(signal.reason);
		};
		signal.addEventListener("abort", give, { once: true });
		await turn.promise;
	}

	private leave(): void {
		const next = this.line.shift();
		if (next === undefined) this.asking--;
		else next();
	}
}

/** The body. Throws as soon as there is more, however much there would be. */
async function atMost(response: Response, limit: Bytes): Promise<Buffer> {
	const parts: Uint8Array[] = [];
	let left = limit;
	for await (const part of response.body ?? []) {
		left -= part.length;
		if (left < 0) throw new Error(`the answer has more than ${limit} bytes`);
		parts.push(part);
	}
	return Buffer.concat(parts);
}

/** The callback that operator.toml names, if it is the mode. Throws CONFIG_INVALID naming the key. */
export async function openCallback(
	dir: string,
	{ entitlement }: Pick<OperatorConfig, "entitlement">,
): Promise<Callback | undefined> {
	const { mode, url, secret_file: file, timeout, concurrency } = entitlement;
	if (mode !== "callback" || url === undefined) return undefined;
	const secret = file && (await readSecret(resolve(dir, file)));
	return new Callback({ url, secret, timeout, concurrency });
}

async function readSecret(path: string): Promise<string> {
	const wrong = (what: string, cause?: unknown) =>
		new LarderError(
			"CONFIG_INVALID",
			`entitlement.secret_file: ${path} ${what}`,
			{ cause },
		);
	let text: string;
	try {
		text = (await readFile(path, "utf8")).trim();
	} catch (cause) {
		throw wrong("cannot be read", cause);
	}
	if (/^[\x21-\x7e]+$/.test(text)) return text;
	throw wrong("must hold one word of plain characters");
}
