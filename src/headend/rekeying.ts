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
import { refuseRevoked } from "./tls/broker.ts";
import { brokerDir, renewServer, serverPath } from "./tls/server.ts";

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
 * Gives what is left for a person to do before the broker knows of it, too.
 * Rejects with OPERATOR_INVALID, nothing done, or as the announcement and the broker's lists do.
 */
export async function takeKeys(
	parts: RekeyingParts,
): Promise<readonly string[]> {
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
	if (replaced) await lease.renew();
	const retired = after.leastIssuer !== before.leastIssuer;
	if (!replaced && !retired) return [];
	// Boxes that it retired have neither neighbours nor, once they are cut off, the broker.
	renewal.callIn();
	const certificate = await renewBroker(parts, retired);
	return leftToDo(operator, certificate);
}

/**
 * Brings the broker's files up to date: it lets in nobody of an issuer whose revocation list it does not have, and what it shows itself
 * has to be of the present issuer. Gives how it stands with the latter.
 * @param retired the lists of earlier issuers go, too
 */
export async function renewBroker(
	{ operator, fleet }: Pick<RekeyingParts, "operator" | "fleet">,
	retired = false,
): ReturnType<typeof renewServer> {
	const folder = brokerDir(operator.dir);
	if (!existsSync(folder)) return "away";
	const certificate = await renewServer(operator);
	if (retired) await rm(join(folder, "crl.pem"), { force: true });
	await refuseRevoked(operator, await fleet.revoked());
	return certificate;
}

/** What only a person can do for the broker to show a certificate of the present issuer, and to let in boxes by theirs. */
export function leftToDo(
	{ config, dir }: Pick<Operator, "config" | "dir">,
	certificate: Awaited<ReturnType<typeof renewServer>>,
): string[] {
	const { url, username, ca, reload = [] } = config.broker;
	// The broker is not of the operator's authority.
	if (!url.startsWith("mqtts:") || username !== undefined || ca !== undefined)
		return [];
	if (certificate === "away")
		return [
			`${brokerDir(dir)} holds no certificate of the broker: make it anew where it is with larder broker config --out <folder>, then send every broker a SIGHUP (larder broker --tls needs only that)`,
		];
	if (certificate === "foreign")
		return [
			`${serverPath(brokerDir(dir))} is another user's: as that user or root run larder broker config, then send every broker a SIGHUP`,
		];
	if (reload.length === 0)
		return [
			"send every broker a SIGHUP, or set broker.reload in operator.toml to what does: they have to read their certificate and revocation lists again",
		];
	return [];
}

function standingOf({ signers, keyring }: Operator) {
	return {
		serials: serialsOf(signers),
		version: keyring.mandate?.said.version,
		leastIssuer: keyring.mandate?.said.minimum.issuer,
	};
}
