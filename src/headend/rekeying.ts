import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Log } from "../base/log.ts";
import type { Announcer } from "./control/announcer.ts";
import type { Recall } from "./control/recall.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { Renewal } from "./fleet/renewal.ts";
import type { OwnLease } from "./lease.ts";
import { serialsOf } from "./operator/keyring.ts";
import type { Operator } from "./operator/operator.ts";
import { brokerDir, refuseRevoked } from "./tls/broker.ts";

export interface RekeyingParts {
	readonly operator: Operator;
	readonly fleet: Pick<Fleet, "revoked">;
	readonly recall: Pick<Recall, "dropRetired">;
	readonly announcer: Pick<Announcer, "announce">;
	/** The headend's own membership. */
	readonly lease: Pick<OwnLease, "renew">;
	readonly renewal: Pick<Renewal, "begin" | "callIn" | "tellAgain">;
	readonly log: Log;
}

/**
 * Takes up what `larder keys` changed while the headend runs: from here on all is signed with the keys that lie in keys/,
 * boxes hear the root's word, and what is in force is signed anew in the background.
 * Rejects with OPERATOR_INVALID, nothing done, or as the announcement and the broker's lists do.
 */
export async function takeKeys(parts: RekeyingParts): Promise<void> {
	const { operator, recall, announcer, lease, renewal, log } = parts;
	const before = standingOf(operator);
	await operator.keyring.reread();
	const after = standingOf(operator);
	log.info({ serials: after.serials }, "keys were taken up");
	await recall.dropRetired();
	// First: boxes have to hear which keys count before they are told what those signed.
	await announcer.announce();
	renewal.begin();
	if (after.version !== before.version) renewal.tellAgain();
	const replaced = after.serials.issuer !== before.serials.issuer;
	if (replaced) {
		await lease.renew();
		renewal.callIn();
	}
	const retired = after.leastIssuer !== before.leastIssuer;
	if (replaced || retired) await renewLists(parts, retired);
}

/**
 * Brings the broker's revocation lists up to date: it lets in nobody of an issuer whose list it does not have.
 * @param retired the lists of earlier issuers go, too
 */
export async function renewLists(
	{ operator, fleet }: Pick<RekeyingParts, "operator" | "fleet">,
	retired = false,
): Promise<void> {
	const folder = brokerDir(operator.dir);
	if (!existsSync(folder)) return;
	if (retired) await rm(join(folder, "crl.pem"), { force: true });
	await refuseRevoked(operator, await fleet.revoked());
}

function standingOf({ signers, keyring }: Operator) {
	return {
		serials: serialsOf(signers),
		version: keyring.mandate?.said.version,
		leastIssuer: keyring.mandate?.said.minimum.issuer,
	};
}
