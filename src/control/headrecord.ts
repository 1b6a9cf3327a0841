import * as z from "zod/mini";
import { envelope, signed } from "../wire/envelope.ts";
import { instant, titleId } from "../wire/ids.ts";

/** Signatures are checked as of the moment of acceptance: keys expire, and a box may start before it knows the time. */
const part = z.object({ envelope, acceptedAt: instant });

/** The head in force, kept so that a box that starts without a broker knows it. */
export const headRecord = z.object({
	announcement: z.optional(part),
	bans: z.optional(part),
	mandate: z.optional(signed),
	purged: z.array(z.object({ title: titleId, at: instant, since: instant })),
});
export type HeadRecord = z.output<typeof headRecord>;
