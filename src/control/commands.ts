import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { bad, type Result } from "../base/result.ts";
import type { Millis } from "../base/units.ts";
import { type Command, command } from "../wire/command.ts";
import { type Envelope, envelope, grantOf } from "../wire/envelope.ts";
import { isTooFarAhead } from "../wire/head.ts";
import { count, instant } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { loadRecord, saveRecord } from "./record.ts";
import { type Identity, verify } from "./verify.ts";

/** How many command ids are remembered: who has the key that signs them must not fill the memory. */
const REMEMBERED = 1024;

/** Ids of commands that were obeyed and have not expired, oldest first, and of which key they were. */
const record = z.object({
	obeyed: z.array(
		z.object({ id: command.shape.id, expires: instant, serial: count }),
	),
});

interface Seen {
	readonly expires: Millis;
	readonly serial: number;
	readonly lasts: boolean;
}

/**
 * Lets each command through once, and only before it expires; those that change something, across restarts too. Invariant:
 * of these none is forgotten that could be obeyed again.
 */
export class Commands {
	private readonly path: string;
	private readonly identity: Identity;
	private readonly log: Log;
	private readonly most: number;
	/** By id, in the order in which they came. */
	private readonly seen = new Map<string, Seen>();

	constructor(path: string, identity: Identity, log: Log, most = REMEMBERED) {
		this.path = path;
		this.identity = identity;
		this.log = log;
		this.most = most;
	}

	/** Takes up what was obeyed before the restart. */
	async load(): Promise<void> {
		const kept = await loadRecord(this.path, record);
		if (kept === undefined) return;
		if (!kept.ok) {
			this.log.warn({ slug: kept.reason }, `${this.path}: ${kept.detail}`);
			return;
		}
		for (const { id, ...seen } of kept.value.obeyed)
			this.seen.set(id, { ...seen, lasts: true });
	}

	/** The command, which is not to be had again. `time-unknown`: not yet, it can be judged once the box knows the time. */
	async take(bytes: Buffer): Promise<Result<Command>> {
		const outer = parseMessage(envelope, bytes);
		if (!outer.ok) return outer;
		const read = verify(outer.value, "placement", command, this.identity);
		if (!read.ok) return read;
		const { id, expires, body } = read.value;
		if (this.seen.has(id)) return bad("repeated", `command ${id}`);
		const { trust } = this.identity;
		if (expires <= trust.now()) return bad("expired", `command ${id}`);
		if (isTooFarAhead({ version: expires }, trust))
			return bad("too-far-ahead", `command ${id}`);
		if (mustBeFresh(body) && !Number.isFinite(trust.latest()))
			return bad("time-unknown", `command ${id}`);
		const lasts = doesLast(body);
		if (this.makeRoom())
			this.seen.set(id, { expires, serial: serialOf(outer.value), lasts });
		else if (lasts) return bad("too-many-commands", `command ${id}`);
		if (lasts) await this.save();
		return read;
	}

	/** Forgets what would be refused anyway, then what harms nobody. Whether one more can be remembered. */
	private makeRoom(): boolean {
		const { seen, most } = this;
		for (const goes of [(one: Seen) => this.isOver(one), isHarmless])
			for (const [id, one] of seen) {
				if (seen.size < most) return true;
				if (goes(one)) seen.delete(id);
			}
		return seen.size < most;
	}

	private isOver({ expires, serial }: Seen): boolean {
		const { trust } = this.identity;
		return (
			expires <= trust.now() ||
			isTooFarAhead({ version: expires }, trust) ||
			serial < (trust.minimum.get("placement") ?? 0)
		);
	}

	private async save(): Promise<void> {
		const obeyed = [...this.seen].flatMap(([id, one]) => {
			const { expires, serial, lasts } = one;
			return lasts && !this.isOver(one) ? [{ id, expires, serial }] : [];
		});
		try {
			await saveRecord(this.path, { obeyed });
		} catch (error) {
			// A full disk must not make a box deaf.
			this.log.error({}, describe(error));
		}
	}
}

/** An answer fits one question of this run, and these harm nobody: they are not worth wearing out the disk. */
function doesLast(body: Command["body"]): boolean {
	const harmless = ["issuance", "attested", "report", "support"].includes(
		body.kind,
	);
	return !("request" in body) && !harmless;
}

/** A release that the operator has thought better of meanwhile is not to come back with an order that somebody kept. */
function mustBeFresh({ kind }: Command["body"]): boolean {
	return kind === "update";
}

function isHarmless({ lasts }: Seen): boolean {
	return !lasts;
}

function serialOf({ grant }: Envelope): number {
	const read = grantOf(grant);
	return read.ok ? read.value.serial : 0;
}
