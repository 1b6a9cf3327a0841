import { DAY, SECOND } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import { type Envelope, seal } from "../../wire/envelope.ts";
import type { BoxId, Region } from "../../wire/ids.ts";
import type { Certificate, Role } from "../../wire/membership.ts";
import { LEAD } from "../tls/authority.ts";
import type { Dates } from "../tls/x509.ts";
import type { Operator } from "./operator.ts";

/** How long a member stays one without asking again. */
export const LEASE: Millis = 30 * DAY;

/** Who is let in, and as what. */
export interface Member {
	readonly box: BoxId;
	readonly serial: string;
	readonly region: Region;
	readonly role: Role;
}

/** Of a lease that is given now, for membership and TLS alike: in whole seconds, as X.509 has them. */
export function leaseFrom(now: Millis): Dates {
	const at = Math.floor(now / SECOND) * SECOND;
	return { notBefore: Math.max(0, at - LEAD), notAfter: at + LEASE };
}

/** The certificate that lets a key into its region, sealed by the issuer. */
export function certifyMember(
	{ network, signers }: Operator,
	member: Member,
	{ notBefore, notAfter }: Dates,
): Envelope {
	const statement = { network, ...member, notBefore, notAfter };
	return envelopeOf(seal(signers.issuer, statement satisfies Certificate));
}

/** What was just sealed, to be put into something larger. */
export function envelopeOf(sealed: Buffer): Envelope {
	return JSON.parse(sealed.toString("utf8"));
}
