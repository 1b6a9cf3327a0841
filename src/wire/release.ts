import * as z from "zod/mini";
import { type Bytes, MiB } from "../base/units.ts";
import { count, hex32, networkId } from "./ids.ts";

/** What boxes are made of: `<platform>-<arch>`, as Node names them. */
export const TARGETS = ["linux-arm64", "linux-x64"] as const;
export type Target = (typeof TARGETS)[number];

/** Three numbers below 1,000, so that a shell can compare them, too: `0.12.3`. It is also the name of a folder. */
export const version = z
	.string()
	.check(z.regex(/^(?:0|[1-9]\d{0,2})(?:\.(?:0|[1-9]\d{0,2})){2}$/));

/** No release is larger. */
export const MAX_RELEASE: Bytes = 256 * MiB;

/** What the release key says of one release of the agent (purpose `release`): a tar of its bundle. */
export const release = z.object({
	network: networkId,
	version,
	target: z.enum(TARGETS),
	/** The lowest version that may become this one. */
	minimum: version,
	/** Bytes of the tar, and their hash. */
	size: count.check(z.maximum(MAX_RELEASE)),
	sha256: hex32,
});
export type Release = z.output<typeof release>;

/** Below 0 when `a` is the older of two versions, 0 when they are the same. */
export function compareVersions(a: string, b: string): number {
	return numberOf(a) - numberOf(b);
}

function numberOf(text: string): number {
	return text.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);
}
