import type { Log } from "../../base/log.ts";
import { type Clock, DAY } from "../../base/time.ts";
import { type BoxId, short, type TitleId } from "../../wire/ids.ts";
import type { Database } from "../fleet/database.ts";
import type { OperatorConfig } from "../operator/config.ts";
import { readIssued } from "../operator/issue.ts";
import type { Operator } from "../operator/operator.ts";
import type { TitleRecord } from "../publish/titles.ts";
import { type Callback, openCallback } from "./callback.ts";
import {
	type Asking,
	judge,
	judgeAnswer,
	type Rule,
	type Verdict,
} from "./policy.ts";
import {
	allowedUntil,
	endLease,
	eraseLeases,
	erasePlayed,
	pruneLeases,
	recalledFrom,
	recallLeases,
	recordLease,
} from "./records.ts";
import { listRules, type RuleView, ruleFor, setRule } from "./rules.ts";

type Wanted = Pick<
	TitleRecord,
	"id" | "kind" | "assetId" | "availableFrom" | "availableUntil"
>;

/**
 * Who may play what, and who was given a key for it.
 * Invariant: a lease is on record before it is given, and none is given against a rule that was there when it was recorded.
 */
export class Entitlement {
	private readonly operator: Pick<Operator, "dir" | "region">;
	private readonly settings: OperatorConfig;
	private readonly database: Database;
	private readonly callback: Callback | undefined;
	private readonly log: Log;
	private readonly now: Clock;
	private timer: NodeJS.Timeout | undefined;

	private constructor(
		operator: Pick<Operator, "dir" | "region" | "config">,
		database: Database,
		callback: Callback | undefined,
		log: Log,
		now: Clock,
	) {
		this.operator = operator;
		this.settings = operator.config;
		this.database = database;
		this.callback = callback;
		this.log = log;
		this.now = now;
	}

	/** Forgets what is too old, now and every day. Throws CONFIG_INVALID when the callback's secret is not there. */
	static async open(
		operator: Pick<Operator, "dir" | "region" | "config">,
		database: Database,
		log: Log,
		now: Clock = Date.now,
	): Promise<Entitlement> {
		const callback = await openCallback(operator.dir, operator.config);
		const it = new Entitlement(operator, database, callback, log, now);
		await it.prune();
		it.timer = setInterval(() => {
			it.prune().catch((error: unknown) => {
				log.error({ err: error }, "old leases were not forgotten");
			});
		}, DAY).unref();
		return it;
	}

	/** Decides about a box that asks for a title's key; a lease is on record when this resolves. */
	async decide(box: BoxId, title: Wanted): Promise<Verdict> {
		const verdict = await this.judge(box, title);
		if (verdict.kind !== "lease") return verdict;
		const { until, allowed } = verdict;
		// That a box has a release says nothing of a household.
		if (title.kind === "release") return verdict;
		return await this.database.transaction(async (db) => {
			// The callback may have taken its time.
			const rule = await ruleFor(db, title.id, box);
			if (rule === "deny") return { kind: "denied", reason: "not-entitled" };
			const givenAt = this.now();
			await recordLease(db, box, title.id, { givenAt, until, allowed });
			return verdict;
		});
	}

	/**
	 * Makes a rule for a title, or for a title on one box; undefined takes it away.
	 * Gives the boxes that hold a lease which it ends: they are to be told.
	 */
	async rule(
		title: TitleId,
		box: BoxId | undefined,
		rule: Rule | undefined,
	): Promise<BoxId[]> {
		const now = this.now();
		return await this.database.transaction(async (db) => {
			await setRule(db, title, box, rule, now);
			if (rule !== "deny") return [];
			const holders = await recallLeases(db, title, box, now);
			// Told in any case: what it was given may have been erased.
			return box === undefined ? holders : [box];
		});
	}

	rules(): Promise<RuleView[]> {
		return listRules(this.database);
	}

	/** Titles whose keys a box was to forget and has not yet said that it did. */
	recalled(box: BoxId): Promise<TitleId[]> {
		return recalledFrom(this.database, box, this.now());
	}

	/** A box has forgotten a key. */
	async forgotten(box: BoxId, title: TitleId): Promise<void> {
		await endLease(this.database, box, title, this.now());
	}

	/** Erases what a box was given keys for, and how much was played there; rules that name it stay. Gives how many leases there were. */
	erase(box: BoxId): Promise<number> {
		return this.database.transaction(async (db) => {
			await erasePlayed(db, box);
			return await eraseLeases(db, box, this.now());
		});
	}

	close(): void {
		clearInterval(this.timer);
	}

	private async judge(box: BoxId, title: Wanted): Promise<Verdict> {
		const { mode, lease, grace } = this.settings.entitlement;
		const asking: Asking = {
			now: this.now(),
			lease,
			title,
			rule: await ruleFor(this.database, title.id, box),
		};
		const verdict = judge(asking, mode);
		if (verdict !== undefined) return verdict;
		const answer = await this.ask(box, title);
		if (answer === undefined) return { kind: "denied", reason: "not-entitled" };
		const before = answer.ok
			? undefined
			: await allowedUntil(this.database, box, title.id);
		return judgeAnswer({ ...asking, now: this.now() }, answer, before, grace);
	}

	/** Undefined for a box that was not issued here. */
	private async ask(box: BoxId, title: Wanted) {
		const { dir, region } = this.operator;
		const issued = await readIssued(dir, box);
		if (issued === undefined || this.callback === undefined) return undefined;
		const { serial } = issued;
		const { id, assetId: asset } = title;
		const question = { box, serial, title: id, asset, region, at: this.now() };
		const answer = await this.callback.ask(question);
		if (!answer.ok)
			this.log.warn({ box: short(box), detail: answer.detail }, answer.reason);
		return answer;
	}

	private async prune(): Promise<void> {
		const now = this.now();
		const { keep_viewing: kept } = this.settings.policy;
		await pruneLeases(this.database, now - kept, now);
	}
}
