import { DAY } from "../../base/time.ts";
import { brokerAccess, type OwnTls } from "../../control/access.ts";
import type { BrokerAccess } from "../../control/connection.ts";
import { generateKeyPair, privateKeyPem } from "../../wire/keys.ts";
import { brokerOf } from "../operator/config.ts";
import type { Operator } from "../operator/operator.ts";
import { certifyClient, LEAD } from "./authority.ts";
import { readPapers } from "./keys.ts";
import { headendNames } from "./mosquitto.ts";

/**
 * How the headend gets into its broker. To one at an mqtts:// address, unless [broker] has a user name, it shows a certificate in the
 * name of the connection's client id, made afresh for every attempt: there is nothing to keep and nothing to renew.
 * Throws CONFIG_INVALID, or OPERATOR_INVALID when there is no authority in keys/.
 */
export async function headendAccess(operator: Operator): Promise<BrokerAccess> {
	const settings = brokerOf(operator.dir, operator.config);
	const { url, username } = settings;
	if (!url.startsWith("mqtts:") || username !== undefined)
		return await brokerAccess(settings);
	return await brokerAccess(settings, await ownTls(operator));
}

/**
 * How the headend gets to where boxes enrol, under whatever client id: one that nobody guesses, for strangers choose theirs there.
 * @param url mqtts://, the listener that asks for certificates
 */
export async function enrolAccess(
	operator: Operator,
	url: string,
): Promise<BrokerAccess> {
	const own = await ownTls(operator);
	const [name] = headendNames(operator.network);
	return await brokerAccess({ url }, { ...own, show: () => own.show(name) });
}

async function ownTls(operator: Operator): Promise<OwnTls> {
	const { ca } = await readPapers(operator);
	return {
		ca,
		time: () => ({ earliest: Date.now(), latest: Date.now() }),
		leastIssuer: () => operator.trust.minimum.get("issuer") ?? 0,
		show: async (name) => {
			// Read for each connection: the issuer may have been replaced since the last one.
			const { authority } = await readPapers(operator);
			const pair = generateKeyPair();
			const { publicKey } = pair;
			const now = Date.now();
			const dates = { notBefore: now - LEAD, notAfter: now + DAY };
			return {
				cert: await certifyClient(authority, { name, publicKey, ...dates }),
				key: privateKeyPem(pair),
			};
		},
	};
}
