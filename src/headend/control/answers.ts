import { describe, LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { CommandBody } from "../../wire/command.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { KeyRequest, Request } from "../../wire/reports.ts";
import { sealTo } from "../../wire/sealed.ts";
import type { Registrar } from "../enrol/registrar.ts";
import type { Entitlement } from "../entitlement/entitlement.ts";
import type { Operator } from "../operator/operator.ts";
import { readTitle, type TitleRecord } from "../publish/titles.ts";
import type { Commands } from "./commands.ts";

/** Requests that are dealt with at a time: a callback may take its time, and what boxes say is not to wait for it. */
const MOST = 256;

export interface AnswersOptions {
	readonly operator: Pick<Operator, "dir">;
	readonly entitlement: Pick<Entitlement, "decide">;
	readonly commands: Pick<Commands, "send">;
	readonly isRevoked: (box: BoxId) => boolean;
	readonly log: Log;
}

/** Answers boxes that ask for a title's key: the key sealed to that box and until when it may be used, or why it gets none. */
export class Answers {
	private readonly options: AnswersOptions;
	private readonly running = new Set<Promise<void>>();

	constructor(options: AnswersOptions) {
		this.options = options;
	}

	/** Resolves when the next request may be taken. Never rejects: a box whose answer is lost asks again. */
	async take(box: BoxId, request: KeyRequest): Promise<void> {
		const answering = this.answer(box, request);
		this.running.add(answering);
		void answering.then(() => this.running.delete(answering));
		if (this.running.size >= MOST) await Promise.race(this.running);
	}

	/** Answers, and resolves when the answer is at the broker. Never rejects. */
	async answer(box: BoxId, request: KeyRequest): Promise<void> {
		const { commands, isRevoked, log } = this.options;
		try {
			const body = isRevoked(box)
				? said(request, "key-denied", "revoked")
				: await this.keyFor(box, request);
			if ("reason" in body)
				log.warn({ box: short(box), reason: body.reason }, "no key was given");
			await commands.send(box, body);
		} catch (error) {
			log.warn(
				{ box: short(box), error: describe(error) },
				"an answer was lost",
			);
		}
	}

	private async keyFor(box: BoxId, request: KeyRequest): Promise<CommandBody> {
		const { operator, entitlement } = this.options;
		const record = await findTitle(operator.dir, request);
		if (record === undefined)
			return said(request, "key-denied", "unknown-title");
		const verdict = await entitlement.decide(box, record);
		if (verdict.kind === "denied")
			return said(request, "key-denied", verdict.reason);
		if (verdict.kind === "undecided")
			return said(request, "key-undecided", verdict.reason);
		const key = Buffer.from(record.key, "hex");
		const sealed = sealTo(Buffer.from(box, "hex"), key).toString("base64");
		const { id, title } = request;
		return { kind: "key", request: id, title, sealed, until: verdict.until };
	}
}

export interface AskedOptions extends Pick<AnswersOptions, "commands" | "log"> {
	readonly registrar: Pick<Registrar, "renew">;
}

/** Answers a box that asks for another lease, or for the time. Never rejects: a box whose answer is lost asks again. */
export async function answerAsked(
	{ registrar, commands, log }: AskedOptions,
	box: BoxId,
	request: Pick<Request, "kind" | "id">,
): Promise<void> {
	try {
		const statement = await registrar.renew(box, request);
		if (statement !== undefined)
			await commands.send(box, { kind: "issuance", statement });
	} catch (error) {
		log.warn({ box: short(box), error: describe(error) }, "an answer was lost");
	}
}

async function findTitle(
	dir: string,
	{ title }: KeyRequest,
): Promise<TitleRecord | undefined> {
	try {
		return await readTitle(dir, title);
	} catch (error) {
		if (error instanceof LarderError && error.code === "TITLE_UNKNOWN")
			return undefined;
		throw error;
	}
}

function said(
	{ id, title }: KeyRequest,
	kind: "key-denied" | "key-undecided",
	reason: string,
): CommandBody {
	return { kind, request: id, title, reason };
}
