import { DAY } from "../../base/time.ts";
import { brokerAccess } from "../../control/access.ts";
import type { BrokerAccess } from "../../control/connection.ts";
import { generateKeyPair, privateKeyPem } from "../../wire/keys.ts";
import { brokerOf } from "../operator/config.ts";
import type { Operator } from "../operator/operator.ts";
import { certifyClient, LEAD } from "./authority.ts";
import { readPapers } from "./keys.ts";

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
	const { ca, authority } = await readPapers(operator);
	const show = async (name: string) => {
		const pair = generateKeyPair();
		const { publicKey } = pair;
		const now = Date.now();
		const dates = { notBefore: now - LEAD, notAfter: now + DAY };
		return {
			cert: await certifyClient(authority, { name, publicKey, ...dates }),
			key: privateKeyPem(pair),
		};
	};
	return await brokerAccess(settings, { ca, show });
}
