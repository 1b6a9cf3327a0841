import * as z from "zod/mini";
import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { bad, type Result } from "../base/result.ts";
import type { Millis } from "../base/units.ts";
import { type Command, command } from "../wire/command.ts";
import { envelope } from "../wire/envelope.ts";
import { instant } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import { loadRecord, saveRecord } from "./record.ts";
import { type Identity, verify } from "./verify.ts";

/** How many command ids are remembered. */
const REMEMBERED = 1024;

/** Ids of commands that were obeyed and have not expired, oldest first. */
const record = z.object({
	obeyed: z.array(z.object({ id: command.shape.id, expires: instant })),
});

interface Seen {
	readonly expires: Millis;
	readonly lasts: boolean;
}

/** Lets each command through once, and only before it expires; those that change something, across restarts too. */
export class Commands {
	private readonly path: string;
	private readonly identity: Identity;
	private readonly log: Log;
	/** By id, in the order in which they came. */
	private readonly seen = new Map<string, Seen>();

	constructor(path: string, identity: Identity, log: Log) {
		this.path = path;
		this.identity = identity;
		this.log = log;
	}

	/** Takes up what was obeyed before the restart. */
	async load(): Promise<void> {
		const kept = await loadRecord(this.path, record);
		if (kept === undefined) return;
		if (!kept.ok) {
			this.log.warn({ slug: kept.reason }, `${this.path}: ${kept.detail}`);
			return;
		}
		for (const { id, expires } of kept.value.obeyed)
			this.seen.set(id, { expires, lasts: true });
	}

	/** The command, which is not to be had again. */
	async take(bytes: Buffer): Promise<Result<Command>> {
		const outer = parseMessage(envelope, bytes);
		if (!outer.ok) return outer;
		const read = verify(outer.value, "placement", command, this.identity);
		if (!read.ok) return read;
		const { id, expires, body } = read.value;
		if (this.seen.has(id)) return bad("repeated", `command ${id}`);
		if (expires <= this.identity.trust.now())
			return bad("expired", `command ${id}`);
		const lasts = doesLast(body);
		this.seen.set(id, { expires, lasts });
		for (const oldest of this.seen.keys()) {
			if (this.seen.size <= REMEMBERED) break;
			this.seen.delete(oldest);
		}
		if (lasts) await this.save();
		return read;
	}

	private async save(): Promise<void> {
		const now = this.identity.trust.now();
		const obeyed = [...this.seen].flatMap(([id, { expires, lasts }]) =>
			lasts && expires > now ? [{ id, expires }] : [],
		);
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
	const harmless = ["issuance", "attested", "report"].includes(body.kind);
	return !("request" in body) && !harmless;
}
