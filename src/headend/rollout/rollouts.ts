import { randomBytes } from "node:crypto";
import { describe, LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type Clock, monotonic, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type BoxId, short } from "../../wire/ids.ts";
import { compareVersions } from "../../wire/release.ts";
import { type Audit, HEADEND } from "../audit.ts";
import type { Commands } from "../control/commands.ts";
import type { Database } from "../fleet/database.ts";
import type { TitleRecord } from "../publish/titles.ts";
import { releasesOf } from "../release/publish.ts";
import {
	addRollout,
	forgetFailed,
	listRollouts,
	noteEnded,
	noteTold,
	type RolledBox,
	type RolloutRecord,
	rolledBoxes,
	saveRollout,
} from "./records.ts";
import { type RolloutView, viewOf } from "./view.ts";
import { drawOf, type Rollout, step } from "./waves.ts";

/** How often it is looked at while it goes on, and otherwise; a look that takes long is followed by a longer pause. */
const ROUND: Millis = SECOND;
const QUIET: Millis = 10 * SECOND;
const REST = 20;
/** Boxes that are told at a time. */
const BATCH = 100;
/** Rollouts that are shown. */
const SHOWN = 10;

/** What can be asked of them. */
export type RolloutDeeds = Pick<
	Rollouts,
	"start" | "pause" | "resume" | "abort" | "views" | "onChange"
>;

/** How a rollout is to go. */
export type Wanted = Pick<Rollout, "version" | "waves" | "abortAt" | "soak">;

export interface RolloutsOptions {
	readonly database: Database;
	readonly audit: Pick<Audit, "note">;
	/** The published titles, releases among them. */
	readonly titles: () => readonly TitleRecord[];
	readonly commands: Pick<Commands, "ask">;
	readonly log: Log;
	readonly now?: Clock;
}

/**
 * Brings releases to the boxes, wave by wave. The database is the truth: a headend that starts again goes on.
 * Invariants: one change at a time, so that a look never undoes what somebody asked for; the newest rollout is the only one
 * that tells boxes anything.
 */
export class Rollouts {
	private readonly options: RolloutsOptions;
	private readonly now: Clock;
	private readonly listeners = new Set<() => void>();
	private readonly draws = new Map<string, number>();
	private turn: Promise<unknown> = Promise.resolve();
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(options: RolloutsOptions) {
		this.options = options;
		this.now = options.now ?? Date.now;
	}

	/** Goes on with what was begun. */
	begin(): void {
		this.lookIn(0);
	}

	/** Throws REQUEST_INVALID when there is no such release, or one is on its way. */
	start(wanted: Wanted): Promise<void> {
		return this.during(async () => {
			const { database, titles } = this.options;
			const [last] = await listRollouts(database, 1);
			if (last?.state === "running" || last?.state === "paused")
				throw new LarderError(
					"REQUEST_INVALID",
					`${last.version} is on its way: larder rollout abort ends that`,
				);
			if (releasesOf(titles(), wanted.version).size === 0)
				throw new LarderError(
					"REQUEST_INVALID",
					`no release ${wanted.version} is published`,
				);
			await addRollout(database, {
				...wanted,
				seed: randomBytes(16).toString("hex"),
				...{ state: "running", why: null, wave: 0, settledAt: null },
				countedFrom: this.now(),
			});
			this.draws.clear();
		});
	}

	/** No more boxes are told. Throws REQUEST_INVALID when none is on its way. */
	pause(why: string | null): Promise<void> {
		return this.change(["running"], (it) => ({ ...it, state: "paused", why }));
	}

	/** What has failed is forgiven. Throws REQUEST_INVALID when none is paused. */
	resume(): Promise<void> {
		return this.change(["paused"], async (it) => {
			await forgetFailed(this.options.database, it.id);
			const countedFrom = this.now();
			return { ...it, state: "running", why: null, countedFrom };
		});
	}

	/** Ended for good; boxes that have the release keep it. Throws REQUEST_INVALID when none is on its way. */
	abort(why: string | null): Promise<void> {
		const open = ["running", "paused", "done"] as const;
		return this.change(open, (it) => ({ ...it, state: "aborted", why }));
	}

	/** Newest first. */
	async views(): Promise<RolloutView[]> {
		const { database } = this.options;
		const rollouts = await listRollouts(database, SHOWN);
		const views = rollouts.map(async (it) =>
			viewOf(it, await this.eligible(it), (box) => this.drawOf(it, box)),
		);
		return await Promise.all(views);
	}

	/** Called when something of a rollout has changed. The function given back ends it. */
	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	async close(): Promise<void> {
		this.closed = true;
		clearTimeout(this.timer);
		await this.turn;
	}

	private change(
		from: readonly Rollout["state"][],
		make: (it: RolloutRecord) => Promise<RolloutRecord> | RolloutRecord,
	): Promise<void> {
		return this.during(async () => {
			const { database } = this.options;
			const [last] = await listRollouts(database, 1);
			if (last === undefined || !from.includes(last.state))
				throw new LarderError(
					"REQUEST_INVALID",
					`no rollout is ${from.join(" or ")}${last ? `: ${last.version} is ${last.state}` : ""}`,
				);
			await saveRollout(database, await make(last));
		});
	}

	/** One after the other. */
	private during(work: () => Promise<void>): Promise<void> {
		const done = this.turn.then(work).then(() => {
			this.tell();
			this.lookIn(0);
		});
		this.turn = done.catch(() => undefined);
		return done;
	}

	private lookIn(wait: Millis): void {
		clearTimeout(this.timer);
		if (this.closed) return;
		this.timer = setTimeout(() => {
			this.turn = this.turn.then(() => this.look());
		}, wait);
		this.timer.unref();
	}

	/** Never rejects. */
	private async look(): Promise<void> {
		const began = monotonic();
		let round = QUIET;
		try {
			const [last] = await listRollouts(this.options.database, 1);
			if (last === undefined || last.state === "aborted") return;
			if (last.state === "running") round = ROUND;
			await this.advance(last);
		} catch (error) {
			this.options.log.error({ err: error }, "the rollout was not looked at");
		}
		this.lookIn(Math.max(round, REST * (monotonic() - began)));
	}

	private async advance(before: RolloutRecord): Promise<void> {
		const { database, audit, log } = this.options;
		const now = this.now();
		const share = before.waves[before.wave] ?? 0;
		const boxes = await this.eligible(before);
		const members = boxes.filter(({ box }) => this.drawOf(before, box) < share);
		const { rollout, ended, tell } = this.isThere(before)
			? step(before, members, now)
			: { rollout: lost(before), ended: [], tell: [] };
		const after = { ...before, ...rollout };
		const told = tell.slice(0, BATCH);
		const isNew = JSON.stringify(after) !== JSON.stringify(before);
		if (!isNew && ended.length + told.length === 0) return;
		await database.transaction(async (db) => {
			await noteEnded(db, before.id, ended, now);
			await noteTold(db, before.id, told, now);
			await saveRollout(db, after);
		});
		const { version, state, why, wave } = after;
		if (state !== before.state || wave !== before.wave)
			log.info({ version, state, wave: wave + 1, why }, "rollout");
		if (state === "paused" && before.state !== "paused")
			await audit.note(HEADEND, {
				...{ action: "rollout-pause", subject: version },
				why: why ?? undefined,
			});
		const targets = new Map(members.map(({ box, target }) => [box, target]));
		for (const box of told) void this.order(after, box, targets.get(box) ?? "");
		this.tell();
	}

	/** Boxes that the release is for, older ones and those that have it. */
	private async eligible({ id, version }: RolloutRecord): Promise<RolledBox[]> {
		const { database, titles } = this.options;
		const targets = new Set<string>(releasesOf(titles(), version).keys());
		return (await rolledBoxes(database, id)).filter(
			(box) =>
				targets.has(box.target) &&
				(box.toldAt !== null || compareVersions(box.version, version) <= 0),
		);
	}

	/** Whether the release may still be had: a title can be taken back. */
	private isThere({ version }: Rollout): boolean {
		return releasesOf(this.options.titles(), version).size > 0;
	}

	private drawOf({ seed }: Rollout, box: BoxId): number {
		const key = `${seed}/${box}`;
		const draw = this.draws.get(key) ?? drawOf(seed, box);
		this.draws.set(key, draw);
		return draw;
	}

	/** Never rejects: who does not answer is told again. */
	private async order(
		{ id, version }: RolloutRecord,
		box: BoxId,
		target: string,
	): Promise<void> {
		const { database, titles, commands, log } = this.options;
		const found = [...releasesOf(titles(), version).values()];
		const release = found.find(({ said }) => said.target === target);
		if (release === undefined) return;
		const { id: title, statement } = release;
		try {
			const body = { kind: "update", title, statement } as const;
			const {
				ok,
				code = "COMMAND_FAILED",
				detail,
			} = await commands.ask(box, body);
			if (ok) return;
			log.warn({ box: short(box), code, detail }, "a release was refused");
			const outcome = "failed" as const;
			const ended = [{ box, outcome, code, detail }];
			await noteEnded(database, id, ended, this.now());
		} catch (error) {
			log.info({ box: short(box) }, `not told yet: ${describe(error)}`);
		}
	}

	private tell(): void {
		for (const listener of this.listeners) listener();
	}
}

/** Its release was taken back: nobody can be told of it. */
function lost(before: RolloutRecord): Rollout {
	if (before.state !== "running") return before;
	return { ...before, state: "paused", why: "the release was taken back" };
}
