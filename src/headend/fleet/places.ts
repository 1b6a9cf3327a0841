import { LEVELS } from "../../wire/near.ts";
import { readRows } from "../enrol/serials.ts";
import { type Place, place } from "./groups.ts";

/**
 * Reads where receivers are, one a line: `serial,street,node,city`. A serial number alone takes the receiver out of all groups.
 * Throws CONFIG_INVALID naming the lines that are wrong.
 */
export async function readPlaces(path: string): Promise<Place[]> {
	const rows = await readRows(path, LEVELS + 2, (row) => {
		const read = place.safeParse(placeOf(row));
		return read.success
			? undefined
			: `no serial number with up to ${LEVELS} names of groups`;
	});
	return rows.map(placeOf);
}

function placeOf([serial = "", ...levels]: readonly string[]): Place {
	return { serial, levels };
}
