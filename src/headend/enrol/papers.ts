import type { Millis } from "../../base/units.ts";
import type { Issuance, Papers } from "../../wire/enrol.ts";
import { seal } from "../../wire/envelope.ts";
import type { BoxId } from "../../wire/ids.ts";
import { sealTo } from "../../wire/sealed.ts";
import type { Issued } from "../operator/issue.ts";
import { certifyMember, leaseFrom } from "../operator/lease.ts";
import type { Operator } from "../operator/operator.ts";
import { certifyBox } from "../tls/authority.ts";
import { readPapers } from "../tls/keys.ts";

/** What an answer is about: whose question, by which mark. */
export interface Question {
	readonly box: BoxId;
	readonly nonce: string;
}

/** What is answered: papers, or why there are none; or nothing but the time. */
export type Answer = Pick<Issuance, "papers" | "refusal">;

/** All that a box on record needs to be a member for another lease. Throws OPERATOR_INVALID when there is no authority in keys/. */
export async function papersFor(
	operator: Operator,
	{ box, serial, region }: Issued,
	now: Millis,
): Promise<Papers> {
	const { authority } = await readPapers(operator);
	const dates = leaseFrom(now);
	const { enrol } = operator.config;
	const member = { box, serial, region, role: "box" } as const;
	const secret = sealTo(Buffer.from(box, "hex"), operator.networkSecret);
	return {
		region,
		certificate: certifyMember(operator, member, dates),
		chain: await certifyBox(authority, box, dates),
		secret: secret.toString("base64"),
		...(enrol && { enrolUrl: enrol.url }),
	};
}

/** An answer as the issuer signs it; it tells the time, too, and which issuers count. */
export function sealAnswer(
	{ network, signers, keyring }: Operator,
	{ box, nonce }: Question,
	answer: Answer,
	now: Millis,
): Buffer {
	const mandate = keyring.mandate?.brief;
	const statement = { network, box, nonce, at: now, mandate, ...answer };
	return seal(signers.issuer, statement satisfies Issuance);
}
