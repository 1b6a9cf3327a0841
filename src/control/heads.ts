import { describe } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { bad, good, type Result } from "../base/result.ts";
import { envelope } from "../wire/envelope.ts";
import { type Head, head, isNewerHead } from "../wire/head.ts";
import { encodeMessage, parseMessage } from "../wire/json.ts";
import { loadRecord, saveRecord } from "./record.ts";
import { type Identity, verify } from "./verify.ts";

/** The head in force, and its envelope to pass on to neighbours. */
export interface SignedHead {
	readonly head: Head;
	readonly bytes: Buffer;
}

/** Keeps the newest head of the region. Invariant: `last` only ever rises, across restarts too. */
export class Heads {
	private readonly path: string;
	private readonly identity: Identity;
	private readonly log: Log;
	private newest: SignedHead | undefined;

	constructor(path: string, identity: Identity, log: Log) {
		this.path = path;
		this.identity = identity;
		this.log = log;
	}

	get last(): SignedHead | undefined {
		return this.newest;
	}

	/** The head if it is news, undefined when it is known already; `rollback` when it is older. */
	async take(bytes: Buffer): Promise<Result<SignedHead | undefined>> {
		const outer = parseMessage(envelope, bytes);
		if (!outer.ok) return outer;
		const read = verify(outer.value, "catalog", head, this.identity);
		if (!read.ok) return read;
		const known = this.newest?.head;
		if (known !== undefined && !isNewerHead(read.value, known)) {
			if (!isNewerHead(known, read.value)) return good(undefined);
			return bad(
				"rollback",
				`epoch ${read.value.epoch} version ${read.value.version} after ${known.epoch} ${known.version}`,
			);
		}
		const acceptedAt = this.identity.trust.now();
		try {
			await saveRecord(this.path, { acceptedAt, envelope: outer.value });
		} catch (error) {
			// A full disk must not keep purges and revocations from a box.
			this.log.error({}, describe(error));
		}
		this.newest = { head: read.value, bytes };
		return good(this.newest);
	}

	/** Takes up what was accepted before the restart. */
	async load(): Promise<void> {
		const record = await loadRecord(this.path);
		if (record === undefined) return;
		const read = record.ok
			? verify(
					record.value.envelope,
					"catalog",
					head,
					this.identity,
					record.value.acceptedAt,
				)
			: record;
		if (read.ok && record.ok)
			this.newest = {
				head: read.value,
				bytes: encodeMessage(record.value.envelope),
			};
		else if (!read.ok)
			this.log.warn({ slug: read.reason }, `${this.path}: ${read.detail}`);
	}
}
