import { describe, LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, DAY } from "../../base/time.ts";
import { type ReadEnrolment, readEnrolment } from "../../wire/enrol.ts";
import type { Envelope } from "../../wire/envelope.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import type { Request } from "../../wire/reports.ts";
import { type Actor, type Audit, HEADEND } from "../audit.ts";
import type { Database } from "../fleet/database.ts";
import type { Issued } from "../operator/issue.ts";
import { envelopeOf } from "../operator/lease.ts";
import type { Operator } from "../operator/operator.ts";
import { claimIn, readBatch } from "./batches.ts";
import { decide, type NewKey, type Wait } from "./decision.ts";
import { Gate } from "./gate.ts";
import type { Question } from "./papers.ts";
import { Replies } from "./replies.ts";
import { type Applicant, type Enrolment, Requests } from "./requests.ts";
import { Roll } from "./roll.ts";
import { isSerial } from "./serials.ts";

export interface RegistrarOptions {
	readonly operator: Operator;
	readonly database: Database;
	readonly audit: Audit;
	readonly isRevoked: (box: BoxId) => boolean;
	/** Shuts a box out for good. */
	readonly revoke: (box: BoxId, why: string) => Promise<void>;
	/** A box was put on record. */
	readonly onEntered: (issued: Issued) => Promise<void>;
	/** Brings an answer to where boxes enrol. */
	readonly answer: (box: BoxId, message: Buffer) => Promise<void>;
	/** What is told of enrolments has changed. */
	readonly onChange: () => void;
	readonly log: Log;
	readonly now?: Clock;
}

/** How it stands with enrolment. */
export interface RegistrarView {
	/** Boxes that wait for a person. */
	readonly waiting: number;
	/** Serials that are let in without one. */
	readonly inventory: number;
	/** Requests that came to nothing since the headend started, by slug. */
	readonly dropped: Readonly<Record<string, number>>;
}

/**
 * Lets boxes in, and lets them stay. Invariant: one request is decided and carried out at a time, so that a serial never gets a
 * second key between a look and a deed.
 */
export class Registrar {
	private readonly options: RegistrarOptions;
	private readonly now: Clock;
	private readonly requests: Requests;
	private readonly roll: Roll;
	private readonly gate: Gate;
	private readonly replies: Replies;
	private readonly timer: NodeJS.Timeout;
	private running: Promise<unknown> = Promise.resolve();

	constructor(options: RegistrarOptions) {
		const { operator, database, log, now = Date.now } = options;
		this.options = options;
		this.now = now;
		this.requests = new Requests(database, now);
		this.roll = new Roll(operator.dir, now);
		this.gate = new Gate(log, now);
		const { roll, gate } = this;
		this.replies = new Replies({ ...options, roll, gate, now });
		this.timer = setInterval(() => this.prune(), DAY).unref();
		this.prune();
	}

	/** A request that came where boxes enrol, under the name of a box. */
	async hear(box: BoxId, message: Buffer): Promise<void> {
		const { gate } = this;
		if (!gate.may("look")) return gate.drop("busy", box);
		const read = readEnrolment(message, box);
		if (!read.ok) return gate.drop(read.reason, box, read.detail);
		const { asked } = read.value;
		if (asked.network !== this.options.operator.network)
			return gate.drop("wrong-network", box);
		const known = (await this.roll.record(box)) !== undefined;
		const claim = known ? undefined : await this.claimOf(read.value);
		if (claim === "none") return this.replies.refuse(asked, "bad-claim");
		// Whoever knows the claim of one serial can make keys without end.
		if (!gate.mayHave(claim === "own" ? asked.serial : box))
			return gate.drop("too-often", box);
		if (!gate.may(claim ?? "known")) return gate.drop("busy", box);
		await this.inTurn(async () => {
			// It may have been let in while it was waited for.
			if (claim === undefined || (await this.roll.record(box)) !== undefined)
				return await this.renewHere(asked);
			if (!isSerial(asked.serial))
				return this.replies.refuse(asked, "bad-serial");
			await this.enrol({ ...asked, batch: asked.batch ?? "", claim });
		});
	}

	/** Answers a box that asks over its own line for another lease, or for the time. Undefined when it asks too often. */
	async renew(
		box: BoxId,
		{ kind, id }: Pick<Request, "kind" | "id">,
	): Promise<Envelope | undefined> {
		if (!this.gate.mayHave(box)) {
			this.gate.drop("too-often", box);
			return undefined;
		}
		const answer = await this.replies.to(box, kind === "renew");
		if (answer.refusal !== undefined) this.gate.drop(answer.refusal, box);
		const question = { box, nonce: id };
		return envelopeOf(this.replies.seal(question, answer));
	}

	/** Those that wait, longest first, then those decided, last first. */
	list(limit: number): Promise<Enrolment[]> {
		return this.requests.list(limit);
	}

	async view(): Promise<RegistrarView> {
		return { ...(await this.requests.counts()), dropped: this.gate.dropped };
	}

	/**
	 * Lets in who waits, and shuts out the boxes that had its serial; gives those. Throws ENROLMENT_CHANGED when it does not wait, or
	 * when there has come a box with its serial since somebody looked.
	 */
	approve(box: BoxId, by: Actor): Promise<readonly BoxId[]> {
		return this.inTurn(async () => {
			const { audit, revoke } = this.options;
			const waiting = await this.requests.of(box);
			if (waiting?.state !== "waiting") throw notWaiting(box);
			const { serial } = waiting;
			const rivals = await this.rivalsOf(box, serial);
			if (rivals.length > 0 && waiting.why !== "serial-live") {
				await this.requests.note(box, "serial-live");
				this.options.onChange();
				throw new LarderError(
					"ENROLMENT_CHANGED",
					`${serial} is by now the serial of another box, which would be shut out`,
				);
			}
			for (const rival of rivals) {
				const why = `${serial} was given to ${short(box)}`;
				const change = { action: "revoke", subject: rival, why } as const;
				await audit.carryOut(by, change, () => revoke(rival, why));
			}
			const nonce = (await this.requests.nonceOf(box)) ?? "";
			await this.admit(waiting);
			this.replies.say({ box, nonce }, await this.replies.to(box));
			return rivals;
		});
	}

	/** Turns away one that waits, or all of a batch that do; gives how many. Throws ENROLMENT_CHANGED when it does not wait. */
	reject(
		which: { readonly box: BoxId } | { readonly batch: string },
		why: string,
	): Promise<number> {
		return this.inTurn(async () => {
			const count = await this.requests.reject(which, why);
			if (count === 0 && "box" in which) throw notWaiting(which.box);
			this.options.onChange();
			return count;
		});
	}

	/** Other boxes on record under a box's serial that are not shut out. */
	rivals(box: BoxId): Promise<readonly BoxId[]> {
		return this.inTurn(async () => {
			const record = await this.roll.record(box);
			return record ? await this.rivalsOf(box, record.serial) : [];
		});
	}

	/** From now on lets in what shows its own claim and has one of these serials; without any, nobody without a person. */
	async takeStock(serials: readonly string[]): Promise<void> {
		await this.requests.takeStock(serials);
		this.options.onChange();
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.running;
	}

	/** A key that was not on record a moment ago. */
	private async enrol(it: Applicant): Promise<void> {
		const former = await this.requests.of(it.box);
		const other = await this.requests.waitingAs(it.serial);
		const contender = other?.box === it.box ? undefined : other;
		const decision = decide({
			key: "new",
			claim: it.claim,
			live: (await this.rivalsOf(it.box, it.serial)).length > 0,
			contested: contender !== undefined || former?.why === "contested",
			rejected: former?.state === "rejected",
			...(await this.requests.inventoried(it.serial)),
		});
		if (decision.is === "refuse") return this.replies.refuse(it, decision.slug);
		if (decision.is === "wait")
			return await this.keepWaiting(it, decision.why, contender);
		const why = "shows its own claim and is in the inventory";
		const change = { action: "enrol-approve", subject: it.box, why } as const;
		const { audit } = this.options;
		await audit.carryOut(HEADEND, change, () => this.admit(it));
		this.replies.say(it, await this.replies.to(it.box));
	}

	/** The first that asks for a serial is listed; that there is another is noted with it. */
	private async keepWaiting(
		it: Applicant,
		why: Wait,
		contender: Enrolment | undefined,
	): Promise<void> {
		if (contender !== undefined) await this.requests.note(contender.box, why);
		else if (!(await this.requests.wait(it, why)))
			return this.replies.refuse(it, "full");
		this.options.onChange();
		this.replies.say(it, { refusal: "pending" });
	}

	/** A box on record that comes where boxes enrol: its lease has ended. */
	private async renewHere(question: Question): Promise<void> {
		const answer = await this.replies.to(question.box);
		if (answer.refusal !== undefined)
			return this.replies.refuse(question, answer.refusal);
		this.replies.say(question, answer);
	}

	/** Puts a box on record. */
	private async admit(it: Omit<Applicant, "nonce">): Promise<void> {
		const { operator, onEntered, onChange, log } = this.options;
		const { box, serial } = it;
		const { region } = operator;
		const record: Issued = { box, serial, region, issuedAt: this.now() };
		await this.roll.add(record);
		await onEntered(record);
		await this.requests.issued(it);
		log.info({ box: short(box), serial }, "let in");
		onChange();
	}

	/** Others on record under a serial that are not revoked. */
	private async rivalsOf(box: BoxId, serial: string): Promise<BoxId[]> {
		const { isRevoked } = this.options;
		const boxes = await this.roll.boxesOf(serial);
		return boxes.filter((other) => other !== box && !isRevoked(other));
	}

	private async claimOf(read: ReadEnrolment): Promise<NewKey["claim"]> {
		const { serial, batch: name = "" } = read.asked;
		const batch = await readBatch(this.options.operator, name);
		if (batch === undefined || !read.shows(claimIn(batch, serial)))
			return "none";
		return batch.shared ? "shared" : "own";
	}

	private inTurn<T>(work: () => Promise<T>): Promise<T> {
		const next = this.running.then(work);
		this.running = next.catch(() => undefined);
		return next;
	}

	private prune(): void {
		this.inTurn(() => this.requests.prune()).catch((error: unknown) => {
			const why = describe(error);
			this.options.log.error({}, `old enrolments were not removed: ${why}`);
		});
	}
}

function notWaiting(box: BoxId): LarderError {
	return new LarderError("ENROLMENT_CHANGED", `${short(box)} does not wait`);
}
