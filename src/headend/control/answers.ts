import { randomBytes } from "node:crypto";
import { describe, LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { MINUTE } from "../../base/time.ts";
import type { Command, CommandBody } from "../../wire/command.ts";
import { seal } from "../../wire/envelope.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { Request } from "../../wire/reports.ts";
import { sealTo } from "../../wire/sealed.ts";
import type { Operator } from "../operator/operator.ts";
import { readTitle } from "../publish/titles.ts";
import type { Dispatch } from "./dispatch.ts";

const ANSWER_LIFE = MINUTE;

/** Signs a command for one box and sends it. Rejects with BROKER_FAILED. */
export async function sendCommand(
	operator: Operator,
	dispatch: Dispatch,
	box: BoxId,
	body: CommandBody,
): Promise<void> {
	const issuedAt = operator.trust.now();
	const command: Command = {
		network: operator.network,
		box,
		id: randomBytes(16).toString("hex"),
		issuedAt,
		expires: issuedAt + ANSWER_LIFE,
		body,
	};
	const envelope = seal(operator.signers.placement, command);
	await dispatch.command(box, envelope, ANSWER_LIFE);
}

/** Answers a box that asks for a title's key: the key sealed to that box. Every issued box may play every title for now. */
export async function answerRequest(
	operator: Operator,
	dispatch: Dispatch,
	box: BoxId,
	{ id, title }: Request,
	log: Log,
): Promise<void> {
	const body = await keyFor(operator, box, id, title);
	if (body.kind === "key-denied") {
		log.warn({ box: short(box), reason: body.reason }, "a key was denied");
	}
	try {
		await sendCommand(operator, dispatch, box, body);
	} catch (error) {
		// The box asks again; its request had a time limit of its own.
		log.warn({ box: short(box), error: describe(error) }, "an answer was lost");
	}
}

async function keyFor(
	operator: Operator,
	box: BoxId,
	request: string,
	title: Request["title"],
): Promise<CommandBody> {
	try {
		const { key } = await readTitle(operator.dir, title);
		const sealed = sealTo(Buffer.from(box, "hex"), Buffer.from(key, "hex"));
		return { kind: "key", request, title, sealed: sealed.toString("base64") };
	} catch (error) {
		if (error instanceof LarderError && error.code === "TITLE_UNKNOWN") {
			return { kind: "key-denied", request, title, reason: "unknown-title" };
		}
		throw error;
	}
}
