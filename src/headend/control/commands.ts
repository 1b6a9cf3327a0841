import { randomBytes } from "node:crypto";
import { LarderError } from "../../base/errors.ts";
import { MINUTE, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { Command, CommandBody } from "../../wire/command.ts";
import { seal } from "../../wire/envelope.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { Response } from "../../wire/reports.ts";
import type { Operator } from "../operator/operator.ts";

/** How long a command may wait for a box that is away. */
const LIFE: Millis = MINUTE;
/** How long somebody waits for the answer. */
const PATIENCE: Millis = 10 * SECOND;

/** Puts a signed command at the broker. Rejects with BROKER_FAILED. */
export type Send = (
	box: BoxId,
	envelope: Buffer,
	expiry: Millis,
) => Promise<void>;

interface Waiting {
	readonly box: BoxId;
	readonly settle: (response: Response) => void;
	readonly fail: (error: Error) => void;
}

/** Signs commands, and brings answers to whoever waits for them. Invariant: `waiting` holds commands that are not answered. */
export class Commands {
	private readonly operator: Operator;
	private readonly deliver: Send;
	private readonly patience: Millis;
	private readonly waiting = new Map<string, Waiting>();

	constructor(operator: Operator, deliver: Send, patience = PATIENCE) {
		this.operator = operator;
		this.deliver = deliver;
		this.patience = patience;
	}

	/** Sends a command that needs no answer. Rejects with BROKER_FAILED. */
	async send(box: BoxId, body: CommandBody): Promise<void> {
		await this.dispatch(newId(), box, body);
	}

	/** Sends a command and gives what the box answers. Rejects with BROKER_FAILED or BOX_SILENT. */
	async ask(box: BoxId, body: CommandBody): Promise<Response> {
		const id = newId();
		const { promise, resolve, reject } = Promise.withResolvers<Response>();
		// Noted before it is sent: the answer may overtake the broker's acknowledgement.
		this.waiting.set(id, { box, settle: resolve, fail: reject });
		const timer = setTimeout(
			() =>
				reject(
					new LarderError(
						"BOX_SILENT",
						`box ${short(box)} did not answer within ${this.patience / SECOND} s; it still obeys if it is back within ${LIFE / SECOND} s`,
					),
				),
			this.patience,
		);
		try {
			const [, answer] = await Promise.all([
				this.dispatch(id, box, body),
				promise,
			]);
			return answer;
		} finally {
			clearTimeout(timer);
			this.waiting.delete(id);
		}
	}

	/** A box has answered. False when nobody waits for that, or the command was another box's. */
	answered(box: BoxId, response: Response): boolean {
		const waiting = this.waiting.get(response.id);
		if (waiting?.box !== box) return false;
		waiting.settle(response);
		return true;
	}

	/** Whoever still waits is told that it is in vain. */
	close(): void {
		for (const { fail } of this.waiting.values())
			fail(new LarderError("COMMAND_FAILED", "the headend stops"));
	}

	private async dispatch(
		id: string,
		box: BoxId,
		body: CommandBody,
	): Promise<void> {
		const { network, signers, trust } = this.operator;
		const issuedAt = trust.now();
		const command: Command = {
			network,
			box,
			id,
			issuedAt,
			expires: issuedAt + LIFE,
			body,
		};
		await this.deliver(box, seal(signers.placement, command), LIFE);
	}
}

function newId(): string {
	return randomBytes(16).toString("hex");
}
