import type * as z from "zod/mini";
import { bad, type Result } from "../base/result.ts";
import type { Millis } from "../base/units.ts";
import {
	type Envelope,
	grantOf,
	type Purpose,
	type Trust,
	trustAt,
	unsealParsed,
} from "../wire/envelope.ts";
import type { BoxId, NetworkId, Region } from "../wire/ids.ts";

/** Who this box is and whom it believes. */
export interface Identity {
	readonly box: BoxId;
	readonly region: Region;
	readonly trust: Trust;
}

interface Addressed {
	readonly network: NetworkId;
	readonly box?: BoxId;
	readonly region?: Region;
}

/** Who a statement may be for; a box that was not let in yet has no region. */
export type Addressee = Omit<Identity, "region"> &
	Partial<Pick<Identity, "region">>;

/**
 * A statement of the operator that is meant for this box.
 * @param at instant as of which keys must be valid, when it is not now
 */
export function verify<T extends z.ZodMiniType<Addressed>>(
	outer: Envelope,
	purpose: Purpose,
	schema: T,
	{ box, region, trust }: Addressee,
	at?: Millis,
): Result<z.output<T>> {
	const asOf = at === undefined ? trust : trustAt(trust, at);
	const read = unsealParsed(outer, purpose, schema, asOf);
	if (!read.ok) return read;
	const to: Addressed = read.value;
	if (to.network !== trust.network) return bad("wrong-network", to.network);
	if (to.box !== undefined && to.box !== box) return bad("wrong-box", to.box);
	if (to.region !== undefined && to.region !== region)
		return bad("wrong-region", to.region);
	return read;
}

/** Whether the key that signed a statement, when it was accepted, still counts. */
export function stillCounts(
	{ grant, purpose }: Envelope,
	{ minimum }: Trust,
): boolean {
	const read = grantOf(grant);
	return read.ok && read.value.serial >= (minimum.get(purpose) ?? 0);
}
