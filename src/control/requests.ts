import { randomBytes } from "node:crypto";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { CommandBody } from "../wire/command.ts";
import type { TitleId } from "../wire/ids.ts";

/** The answers to a key request. */
export type KeyAnswer = Extract<
	CommandBody,
	{ kind: "key" | "key-denied" | "key-undecided" }
>;

const PATIENCE: Millis = 5 * SECOND;
const CODES = {
	"key-denied": "TITLE_KEY_DENIED",
	"key-undecided": "TITLE_KEY_UNAVAILABLE",
} as const;

interface Waiting {
	readonly request: string;
	readonly answer: PromiseWithResolvers<Buffer>;
	readonly timer: NodeJS.Timeout;
}

/** Questions to the headend that wait for their command. One at a time for each title, whoever asks. */
export class KeyRequests {
	private readonly send: (id: string, title: TitleId, patience: Millis) => void;
	private readonly patience: Millis;
	private readonly waiting = new Map<TitleId, Waiting>();

	constructor(
		send: (id: string, title: TitleId, patience: Millis) => void,
		patience = PATIENCE,
	) {
		this.send = send;
		this.patience = patience;
	}

	/**
	 * The command that carries the key, as it was signed. Rejects with TITLE_KEY_DENIED, with TITLE_KEY_UNAVAILABLE when
	 * nothing was decided or after the patience, or as the signal does.
	 */
	ask(title: TitleId, signal: AbortSignal): Promise<Buffer> {
		const { answer } = this.waiting.get(title) ?? this.open(title);
		return abortable(answer.promise, signal);
	}

	/**
	 * False when nobody waits for this answer (any more).
	 * @param envelope the command that it came in
	 */
	settle(body: KeyAnswer, envelope: Buffer): boolean {
		const waiting = this.waiting.get(body.title);
		if (waiting?.request !== body.request) return false;
		this.waiting.delete(body.title);
		clearTimeout(waiting.timer);
		if (body.kind === "key") waiting.answer.resolve(envelope);
		else waiting.answer.reject(new LarderError(CODES[body.kind], body.reason));
		return true;
	}

	/** Nobody will answer any more. */
	close(): void {
		for (const title of this.waiting.keys())
			this.giveUp(title, "the control plane is closing");
	}

	private open(title: TitleId): Waiting {
		const request = randomBytes(16).toString("hex");
		const timer = setTimeout(
			() => this.giveUp(title, "the headend did not answer in time"),
			this.patience,
		);
		const answer = Promise.withResolvers<Buffer>();
		const waiting: Waiting = { request, answer, timer };
		this.waiting.set(title, waiting);
		this.send(request, title, this.patience);
		return waiting;
	}

	private giveUp(title: TitleId, why: string): void {
		const waiting = this.waiting.get(title);
		if (waiting === undefined) return;
		this.waiting.delete(title);
		clearTimeout(waiting.timer);
		waiting.answer.reject(new LarderError("TITLE_KEY_UNAVAILABLE", why));
	}
}

/** Stops waiting when the signal says so; the work itself goes on for the others who wait. */
async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
	const { promise, reject } = Promise.withResolvers<never>();
	const stop = () => reject(signal.reason);
	signal.addEventListener("abort", stop, { once: true });
	if (signal.aborted) stop();
	try {
		return await Promise.race([work, promise]);
	} finally {
		signal.removeEventListener("abort", stop);
	}
}
