import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import type { Clock } from "../../base/time.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { Operator } from "../operator/operator.ts";
import { decide } from "./decision.ts";
import type { Gate } from "./gate.ts";
import { type Answer, papersFor, type Question, sealAnswer } from "./papers.ts";
import type { Roll } from "./roll.ts";

export interface RepliesOptions {
	readonly operator: Operator;
	readonly roll: Roll;
	readonly gate: Gate;
	readonly isRevoked: (box: BoxId) => boolean;
	/** Brings an answer to where boxes enrol. */
	readonly answer: (box: BoxId, message: Buffer) => Promise<void>;
	readonly log: Log;
	readonly now: Clock;
}

/** What boxes are told that ask to be let in, for another lease, or for the time. */
export class Replies {
	private readonly options: RepliesOptions;

	constructor(options: RepliesOptions) {
		this.options = options;
	}

	/** What a box is told that is on record, or was. Every answer tells the time; `papers` when it is to have another lease, too. */
	async to(box: BoxId, papers = true): Promise<Answer> {
		const { operator, roll, isRevoked, now } = this.options;
		const record = await roll.record(box);
		if (record === undefined) return { refusal: "revoked" };
		const decision = decide({ key: isRevoked(box) ? "revoked" : "known" });
		if (decision.is === "refuse") return { refusal: decision.slug };
		if (!papers) return {};
		const lease = await papersFor(operator, record, now());
		await roll.renewed(record);
		return { papers: lease };
	}

	/** Signed by the issuer. */
	seal(question: Question, answer: Answer): Buffer {
		const { operator, now } = this.options;
		return sealAnswer(operator, question, answer, now());
	}

	/** A box that is gone asks again; nobody waits for it. */
	say(question: Question, answer: Answer): void {
		const { answer: bring, log } = this.options;
		bring(question.box, this.seal(question, answer)).catch((error: unknown) =>
			log.debug({}, `an answer was lost: ${describe(error)}`),
		);
	}

	refuse(question: Question, slug: string): void {
		const { gate } = this.options;
		gate.drop(slug, question.box);
		if (gate.may("refusal")) this.say(question, { refusal: slug });
	}
}
