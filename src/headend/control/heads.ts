import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../base/errors.ts";
import {
	type Envelope,
	parseEnvelope,
	seal,
	unseal,
} from "../../wire/envelope.ts";
import { type Head, head } from "../../wire/head.ts";
import { PUBLIC, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";

type Content = Omit<
	Head,
	"network" | "region" | "epoch" | "version" | "issuedAt"
>;

/**
 * Signs the region's head. A new version only when something in it changed; it lies in `<operator>/head.json`, so that a
 * restarted headend goes on where it was. A restore raises the epoch, which is newer than any version before.
 */
export class HeadWriter {
	private readonly operator: Operator;
	private readonly path: string;
	private signed: { readonly head: Head; readonly bytes: Buffer } | undefined;

	private constructor(operator: Operator) {
		this.operator = operator;
		this.path = join(operator.dir, "head.json");
	}

	static async open(operator: Operator): Promise<HeadWriter> {
		const writer = new HeadWriter(operator);
		try {
			const bytes = await readFile(writer.path);
			const read = unseal(bytes, "catalog", head, operator.trust);
			// Of an earlier epoch, or damaged: the next one is signed anew and is newer for its epoch or its time.
			if (read.ok && read.value.epoch === operator.epoch) {
				writer.signed = { head: read.value, bytes };
			}
		} catch (error) {
			if (systemCode(error) !== "ENOENT") throw error;
		}
		return writer;
	}

	get bytes(): Buffer | undefined {
		return this.signed?.bytes;
	}

	get envelope(): Envelope | undefined {
		if (this.signed === undefined) return undefined;
		const read = parseEnvelope(JSON.parse(this.signed.bytes.toString("utf8")));
		return read.ok ? read.value : undefined;
	}

	/** Signs and keeps a head with this content. Undefined when the last one says the same. */
	async write(content: Content): Promise<Buffer | undefined> {
		const { network, region, epoch } = this.operator;
		const last = this.signed?.head;
		if (last !== undefined && sameContent(last, content)) return undefined;
		const next: Head = {
			...content,
			network,
			region,
			epoch,
			// Time as a floor: a lost head.json must not lead to a version that boxes have already seen.
			version: Math.max(
				(last?.version ?? 0) + 1,
				Math.floor(Date.now() / 1000),
			),
			issuedAt: Date.now(),
		};
		const bytes = seal(this.operator.signers.catalog, next);
		await writeWhole(this.path, bytes, PUBLIC);
		this.signed = { head: next, bytes };
		return bytes;
	}
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
