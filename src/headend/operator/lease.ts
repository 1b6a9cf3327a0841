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

/** How long a lease lasts, and when it was given. */
export interface LeaseDates extends Dates {
	readonly issuedAt?: Millis;
}

/** Of a lease that is given now, for membership and TLS alike: in whole seconds, as X.509 has them. */
export function leaseFrom(now: Millis): LeaseDates {
	const at = Math.floor(now / SECOND) * SECOND;
	const notBefore = Math.max(0, at - LEAD);
	return { issuedAt: at, notBefore, notAfter: at + LEASE };
}

/** The certificate that lets a key into its region, sealed by the issuer. */
export function certifyMember(
	{ network, signers }: Operator,
	member: Member,
	dates: LeaseDates,
): Envelope {
	const statement = { network, ...member, ...dates };
	return envelopeOf(seal(signers.issuer, statement satisfies Certificate));
}

/** What was just sealed, to be put into something larger. */
export function envelopeOf(sealed: Buffer): Envelope {
	return JSON.parse(sealed.toString("utf8"));
}
