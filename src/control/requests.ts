import { randomBytes } from "node:crypto";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { CommandBody } from "../wire/command.ts";
import type { TitleId } from "../wire/ids.ts";

/** The answer that carries a title key, sealed to the box. */
export type KeyAnswer = Extract<CommandBody, { kind: "key" }>;
type Answer = Extract<CommandBody, { kind: "key" | "key-denied" }>;

const PATIENCE: Millis = 5 * SECOND;

interface Waiting {
	readonly request: string;
	readonly answer: PromiseWithResolvers<KeyAnswer>;
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

	/** Rejects with TITLE_KEY_DENIED, with TITLE_KEY_UNAVAILABLE after the patience, or as the signal does. */
	ask(title: TitleId, signal: AbortSignal): Promise<KeyAnswer> {
		const { answer } = this.waiting.get(title) ?? this.open(title);
		return abortable(answer.promise, signal);
	}

	/** False when nobody waits for this answer (any more). */
	settle(body: Answer): boolean {
		const waiting = this.waiting.get(body.title);
		if (waiting?.request !== body.request) return false;
		this.waiting.delete(body.title);
		clearTimeout(waiting.timer);
		if (body.kind === "key") waiting.answer.resolve(body);
		else
			waiting.answer.reject(new LarderError("TITLE_KEY_DENIED", body.reason));
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
		const answer = Promise.withResolvers<KeyAnswer>();
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
