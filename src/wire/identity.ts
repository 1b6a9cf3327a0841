import * as z from "zod/mini";
import { envelope, signed } from "./envelope.ts";
import { hex32, networkId, region } from "./ids.ts";

/** The file that makes a receiver a box: `larder issue` writes it (mode 0600), the agent reads it. */
export const identityFile = z.object({
	v: z.literal(1),
	/** Ed25519 seed of the box's key. */
	seed: hex32,
	network: networkId,
	region,
	rootKey: hex32,
	/** Hides the region's topic from strangers; no security boundary. */
	networkSecret: hex32,
	/** The membership certificate (src/wire/membership.ts), signed by an issuer. */
	certificate: envelope,
	/** The root's own certificate, which vouches for brokers. */
	ca: z.optional(z.string()),
	/** The box's certificate for TLS and its issuer's. */
	chain: z.optional(z.string()),
	/** Where a box whose membership has ended asks for another: the enrolment listener that it was told of first. */
	enrolUrl: z.optional(z.string()),
	/** And the one that it was told of last, where that is another. */
	newEnrolUrl: z.optional(z.string()),
	/** What the root said of issuers when the membership was given. */
	mandate: z.optional(signed),
});
export type IdentityFile = z.output<typeof identityFile>;
