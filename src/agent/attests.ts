import { access } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { describe, systemCode } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type Clock, MINUTE, monotonic } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Control } from "../control/control.ts";
import { loadRecord, saveRecord } from "../control/record.ts";
import {
	type Attestation,
	MAX_ATTESTED,
	signAttestation,
} from "../wire/attest.ts";
import { count, instant, type TitleId, titleId } from "../wire/ids.ts";
import type { Identity } from "./identity.ts";

/** The disk is looked at anew this often, and what nobody acknowledged is told again so often. */
const LOOK: Millis = MINUTE;
const AGAIN: Millis = 10 * MINUTE;

type State = Attestation["state"];
type Word = Pick<Attestation, "title" | "ordered" | "state">;

/** What the headend has acknowledged, in which of its incarnations, and when the last message was made. */
const record = z.object({
	epoch: count,
	at: instant,
	titles: z.array(
		z.object({
			title: titleId,
			ordered: instant,
			state: z.enum(["hidden", "deleted"]),
		}),
	),
});

export interface AttestsOptions {
	/** The box's data folder. */
	readonly data: string;
	readonly identity: Pick<Identity, "keyPair" | "boxId" | "network">;
	readonly control: Pick<Control, "standing" | "attest">;
	/** Whether what is left of a title that is taken back may leave the disk. */
	readonly mayRemove: (id: TitleId) => boolean;
	/** Removes all that is left. */
	readonly remove: (id: TitleId) => Promise<void>;
	/** Removes its key, for which nobody waits. */
	readonly forgetKey: (id: TitleId) => Promise<void>;
	readonly now: Clock;
	readonly log: Log;
}

/**
 * Tells the headend, signed by the box, what became of the titles that it took back: whether anything of them is on the disk
 * is seen there, not believed. Invariant: `settled` is what the headend of this epoch has acknowledged; one message is on its
 * way at a time.
 */
export class Attests {
	private readonly options: AttestsOptions;
	private readonly path: string;
	private readonly timer: NodeJS.Timeout;
	private settled = new Map<TitleId, Word>();
	private epoch = 0;
	private last: Millis = 0;
	private sent:
		| { readonly words: readonly Word[]; readonly at: Millis; when: Millis }
		| undefined;
	private turn: Promise<void> = Promise.resolve();

	private constructor(options: AttestsOptions) {
		this.options = options;
		this.path = join(options.data, "control", "attested.json");
		this.timer = setInterval(() => void this.look(), LOOK).unref();
	}

	/** Takes up what was acknowledged before the restart. */
	static async open(options: AttestsOptions): Promise<Attests> {
		const attests = new Attests(options);
		const kept = await loadRecord(attests.path, record);
		if (kept?.ok) {
			const { epoch, at, titles } = kept.value;
			attests.epoch = epoch;
			attests.last = at;
			attests.settled = new Map(titles.map((word) => [word.title, word]));
		}
		return attests;
	}

	/** Something may have changed: what the operator says, or the disk. Never rejects. */
	look(): Promise<void> {
		return this.inTurn(() => this.tell());
	}

	/** The headend has kept the message of that instant. Never rejects. */
	acknowledged(at: Millis): Promise<void> {
		return this.inTurn(async () => {
			if (this.sent?.at !== at) return;
			for (const word of this.sent.words) this.settled.set(word.title, word);
			this.sent = undefined;
			this.options.control.attest(undefined);
			await this.save();
			await this.tell();
		});
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.turn;
	}

	private async tell(): Promise<void> {
		const { control, identity, now } = this.options;
		const { bans } = control.standing;
		if (bans === undefined) return;
		const { epoch, version } = bans;
		// A headend that was restored may know nothing of what was acknowledged.
		if (epoch !== this.epoch) this.settled.clear();
		this.epoch = epoch;
		const words = await this.news();
		if (words.length === 0) {
			this.sent = undefined;
			control.attest(undefined);
			return;
		}
		const { sent } = this;
		const isSame = JSON.stringify(sent?.words) === JSON.stringify(words);
		if (sent && isSame && monotonic() - sent.when < AGAIN) return;
		const at = Math.max(now(), this.last + 1);
		this.last = at;
		this.sent = { words, at, when: monotonic() };
		await this.save();
		const { keyPair, boxId: box, network } = identity;
		const dated = { network, box, bans: { epoch, version }, at };
		control.attest(
			words.map((word) => signAttestation(keyPair, { ...dated, ...word })),
		);
	}

	/** What is to be told, as much of it as one message takes. */
	private async news(): Promise<Word[]> {
		const { bans, purged } = this.options.control.standing;
		const words: Word[] = [];
		for (const id of this.settled.keys())
			if (!purged.has(id)) this.settled.delete(id);
		for (const { title, at: ordered } of bans?.purged ?? []) {
			if (!purged.has(title)) continue;
			const state = await this.stateOf(title);
			const known = this.settled.get(title);
			if (known?.ordered === ordered && known.state === state) continue;
			words.push({ title, ordered, state });
			if (words.length === MAX_ATTESTED) break;
		}
		return words;
	}

	private async stateOf(id: TitleId): Promise<State> {
		const { mayRemove, remove, forgetKey, log } = this.options;
		if (!(await this.isHere(id))) return "deleted";
		try {
			await (mayRemove(id) ? remove(id) : forgetKey(id));
		} catch (error) {
			log.error({ title: id }, `not removed: ${describe(error)}`);
		}
		return (await this.isHere(id)) ? "hidden" : "deleted";
	}

	/** Whether blocks, manifest, holder table or key are on the disk. */
	private async isHere(id: TitleId): Promise<boolean> {
		const { data } = this.options;
		for (const path of [
			join("shards", id),
			...["holders", "keys"].flatMap((folder) => [
				join(folder, id),
				join(folder, `${id}.part`),
			]),
		])
			if (await isThere(join(data, path))) return true;
		return false;
	}

	private async save(): Promise<void> {
		const { epoch, last, settled } = this;
		await saveRecord(this.path, {
			epoch,
			at: last,
			titles: [...settled.values()],
		} satisfies z.output<typeof record>);
	}

	private inTurn(work: () => Promise<void>): Promise<void> {
		this.turn = this.turn.then(work).catch((error: unknown) => {
			this.options.log.error({}, `nothing was attested: ${describe(error)}`);
		});
		return this.turn;
	}
}

async function isThere(path: string): Promise<boolean> {
	try {
		await access(path);
		return true;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return false;
		throw error;
	}
}
