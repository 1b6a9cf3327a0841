import { readdir } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { type Envelope, envelope, grantOf } from "../../wire/envelope.ts";
import { head } from "../../wire/head.ts";
import { type BoxId, isBoxId } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import { readIfThere, readSecret } from "../operator/file.ts";
import { readIssued } from "../operator/issue.ts";
import { type OperatorKey, since } from "../operator/keyfile.ts";
import type { OnlinePurpose } from "../operator/keyring.ts";
import type { Operator } from "../operator/operator.ts";
import { isServerOld } from "../tls/server.ts";
import { heardBelow, shutOutIn } from "./bans.ts";
import type { Database } from "./database.ts";
import { Wishes } from "./wishes.ts";

/** By purpose: how much is in force that was signed by earlier keys than the present one. */
export type OldPapers = Readonly<Record<OnlinePurpose, number>>;

/** Until all are 0, boxes would refuse something that the operator still says. */
export async function oldPapers(
	operator: Operator,
	database: Database,
): Promise<OldPapers> {
	const { dir, region, signers } = operator;
	const bytes = await readIfThere(join(dir, "head.json"));
	const read = parseMessage(head, bytes ?? Buffer.alloc(0));
	const said = read.ok ? read.value : {};
	const isOld = (part: Envelope | undefined, purpose: OnlinePurpose) =>
		part && isOlder(part, signers[purpose]) ? 1 : 0;
	const wishes = new Wishes(database, region);
	const heard = await heardBelow(database, signers.revoke.granted.serial);
	return {
		issuer:
			(await oldMembers(operator, database)).length +
			((await isOwnOld(operator)) ? 1 : 0) +
			((await isServerOld(operator)) ? 1 : 0),
		catalog: isOld(said.announcement, "catalog"),
		placement: await wishes.countOld(signers.placement.granted.serial),
		revoke:
			isOld(said.bans, "revoke") + heard.boxes.length + heard.titles.length,
	};
}

function isOlder({ grant }: Envelope, key: OperatorKey): boolean {
	const by = grantOf(grant);
	return by.ok && by.value.serial < key.granted.serial;
}

/** The headend's own membership is renewed when it starts. */
async function isOwnOld({ dir, signers }: Operator): Promise<boolean> {
	const bytes = await readSecret(join(dir, "keys", "headend.json"));
	const own = parseMessage(
		z.object({ certificate: envelope }),
		bytes ?? Buffer.alloc(0),
	);
	return own.ok && isOlder(own.value.certificate, signers.issuer);
}

/** Boxes that are not shut out and were given their last lease before there was the issuer's present key. */
export async function oldMembers(
	{ dir, signers }: Operator,
	database: Database,
): Promise<BoxId[]> {
	const began = since(signers.issuer.granted);
	const shutOut = new Set(await shutOutIn(database));
	const old: BoxId[] = [];
	for (const name of await readdir(join(dir, "issued"))) {
		const box = name.replace(/\.json$/, "");
		if (!isBoxId(box) || shutOut.has(box)) continue;
		const record = await readIssued(dir, box);
		if (record === undefined) continue;
		const { issuedAt, renewedAt = issuedAt } = record;
		if (renewedAt < began) old.push(box);
	}
	return old;
}
