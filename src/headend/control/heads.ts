import { join } from "node:path";
import type { Log } from "../../base/log.ts";
import { type Envelope, envelope, seal, unseal } from "../../wire/envelope.ts";
import { type Head, head } from "../../wire/head.ts";
import { parseMessage } from "../../wire/json.ts";
import { PUBLIC, readIfThere, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";

type Content = Omit<
	Head,
	"network" | "region" | "epoch" | "version" | "issuedAt"
>;

interface Signed {
	readonly head: Head;
	readonly bytes: Buffer;
	readonly envelope: Envelope;
}

/**
 * Signs the region's head. A new version only when something in it changed; it lies in `<operator>/head.json`, so that a
 * restarted headend goes on where it was. A restore raises the epoch, which is newer than any version before.
 */
export class HeadWriter {
	private readonly operator: Operator;
	private readonly path: string;
	private signed: Signed | undefined;

	private constructor(operator: Operator) {
		this.operator = operator;
		this.path = join(operator.dir, "head.json");
	}

	static async open(operator: Operator, log: Log): Promise<HeadWriter> {
		const writer = new HeadWriter(operator);
		const bytes = await readIfThere(writer.path);
		if (bytes === undefined) return writer;
		// Of an earlier epoch, or damaged: the next one is signed anew, and is newer for its epoch or its time.
		const read = unseal(bytes, "catalog", head, operator.trust);
		if (!read.ok)
			log.warn({ path: writer.path, why: read.detail }, "the head is damaged");
		else if (read.value.epoch === operator.epoch)
			writer.signed = signedOf(read.value, bytes);
		return writer;
	}

	get bytes(): Buffer | undefined {
		return this.signed?.bytes;
	}

	get envelope(): Envelope | undefined {
		return this.signed?.envelope;
	}

	/** Signs and keeps a head with this content. Undefined when the last one says the same. */
	async write(content: Content): Promise<Buffer | undefined> {
		const { network, region, epoch } = this.operator;
		const last = this.signed?.head;
		if (last !== undefined && sameContent(last, content)) return undefined;
		const issuedAt = this.operator.trust.now();
		const next: Head = {
			...content,
			network,
			region,
			epoch,
			// Time as a floor: a lost head.json must not lead to a version that boxes have already seen.
			version: Math.max((last?.version ?? 0) + 1, issuedAt),
			issuedAt,
		};
		const bytes = seal(this.operator.signers.catalog, next);
		await writeWhole(this.path, bytes, PUBLIC);
		this.signed = signedOf(next, bytes);
		return bytes;
	}
}

function signedOf(head: Head, bytes: Buffer): Signed {
	const read = parseMessage(envelope, bytes);
	if (!read.ok) throw new Error(read.detail);
	return { head, bytes, envelope: read.value };
}

function sameContent(last: Head, content: Content): boolean {
	const { catalog, revoked, purged, policy } = last;
	return (
		JSON.stringify({ catalog, revoked, purged, policy }) ===
		JSON.stringify({
			catalog: content.catalog,
			revoked: content.revoked,
			purged: content.purged,
			policy: content.policy,
		})
	);
}
