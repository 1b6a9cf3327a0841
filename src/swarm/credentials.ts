import { bad, good, type Result } from "../base/result.ts";
import { checkDates, type Time } from "../wire/envelope.ts";
import type { BoxId, NetworkId, Region } from "../wire/ids.ts";
import type { Certificate, Hello } from "../wire/membership.ts";
import type { Transport } from "./guard.ts";

/** What is known of a connection whose other side showed a certificate that the operator signed. */
export interface Facts {
	/** The key that the other side has proved to have. */
	readonly key: BoxId;
	readonly transport: Transport;
	/** Where it says that it takes bulk connections. */
	readonly tcp: Hello["tcp"];
	/** What this side is. */
	readonly network: NetworkId;
	readonly region: Region;
	readonly time: Time;
	readonly isRevoked: (box: BoxId) => boolean;
}

/** Why a certificate that the operator signed is good for nothing here. */
export type Denial =
	| "wrong-network"
	| "key-mismatch"
	| "wrong-region"
	| "expired"
	| "not-yet-valid"
	| "revoked"
	| "role";

/** Says what is wrong, in a few words for the log. */
type Guard = (certificate: Certificate, facts: Facts) => string | undefined;

/** Asked one after the other; the name of the first that has something to say is the reason. */
const GUARDS: readonly (readonly [Denial, Guard])[] = [
	[
		"wrong-network",
		({ network }, mine) => (network === mine.network ? undefined : network),
	],
	[
		"key-mismatch",
		({ box }, { key }) =>
			box === key ? undefined : "the certificate is for another key",
	],
	[
		"wrong-region",
		({ region }, mine) => (region === mine.region ? undefined : region),
	],
	["expired", dated("expired")],
	["not-yet-valid", dated("not-yet-valid")],
	["revoked", ({ box }, { isRevoked }) => (isRevoked(box) ? box : undefined)],
	[
		// The headend's node gives boxes the catalog and the head. It moves no titles, so it neither listens on TCP nor dials it.
		"role",
		({ role }, { transport, tcp }) =>
			role === "headend" && (transport === "tcp" || tcp !== undefined)
				? "a headend moves no titles"
				: undefined,
	],
];

export function checkCertificate(
	certificate: Certificate,
	facts: Facts,
): Result<Certificate, Denial> {
	for (const [slug, guard] of GUARDS) {
		const detail = guard(certificate, facts);
		if (detail !== undefined) return bad(slug, detail);
	}
	return good(certificate);
}

function dated(slug: "expired" | "not-yet-valid"): Guard {
	return (certificate, { time }) => {
		const checked = checkDates(certificate, time);
		return checked.ok || checked.reason !== slug ? undefined : checked.detail;
	};
}
