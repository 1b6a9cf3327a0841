import { describe, LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { CommandBody } from "../../wire/command.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { KeyRequest, Request } from "../../wire/reports.ts";
import { sealTo } from "../../wire/sealed.ts";
import type { Registrar } from "../enrol/registrar.ts";
import type { Operator } from "../operator/operator.ts";
import { readTitle } from "../publish/titles.ts";
import type { Commands } from "./commands.ts";

export interface AnswersOptions {
	readonly operator: Operator;
	readonly commands: Commands;
	readonly isRevoked: (box: BoxId) => boolean;
	readonly log: Log;
}

export interface AskedOptions extends Pick<AnswersOptions, "commands" | "log"> {
	readonly registrar: Pick<Registrar, "renew">;
}

/**
 * Answers a box that asks for a title's key: the key sealed to that box, or why it gets none. Every box that was issued
 * here and not revoked may play every title. Never rejects: a box whose answer is lost asks again.
 */
export async function answerRequest(
	{ operator, commands, isRevoked, log }: AnswersOptions,
	box: BoxId,
	request: KeyRequest,
): Promise<void> {
	try {
		const body = isRevoked(box)
			? denied(request, "revoked")
			: await keyFor(operator, box, request);
		if (body.kind === "key-denied")
			log.warn({ box: short(box), reason: body.reason }, "a key was denied");
		await commands.send(box, body);
	} catch (error) {
		log.warn({ box: short(box), error: describe(error) }, "an answer was lost");
	}
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

async function keyFor(
	operator: Operator,
	box: BoxId,
	request: KeyRequest,
): Promise<CommandBody> {
	const { id, title } = request;
	try {
		const { key } = await readTitle(operator.dir, title);
		const sealed = sealTo(Buffer.from(box, "hex"), Buffer.from(key, "hex"));
		return {
			kind: "key",
			request: id,
			title,
			sealed: sealed.toString("base64"),
		};
	} catch (error) {
		if (error instanceof LarderError && error.code === "TITLE_UNKNOWN")
			return denied(request, "unknown-title");
		throw error;
	}
}

function denied({ id, title }: KeyRequest, reason: string): CommandBody {
	return { kind: "key-denied", request: id, title, reason };
}
