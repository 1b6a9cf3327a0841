import * as z from "zod/mini";

/** Shard indices as text: `0-3,7,12`. Ascending, no overlap. Compact in JSON and readable by people. */
export const ranges = z
	.string()
	.check(z.regex(/^(\d{1,7}(-\d{1,7})?(,\d{1,7}(-\d{1,7})?)*)?$/));

export function encodeRanges(indices: Iterable<number>): string {
	const parts: string[] = [];
	let first = -1;
	let last = -1;
	const flush = () => {
		if (first >= 0)
			parts.push(first === last ? `${first}` : `${first}-${last}`);
	};
	for (const index of [...indices].sort((a, b) => a - b)) {
		if (index === last + 1 && first >= 0) {
			last = index;
		} else if (index !== last) {
			flush();
			first = index;
			last = index;
		}
	}
	flush();
	return parts.join(",");
}

/** @param limit indices at or above it are left out, so that a hostile `0-9999999` costs nothing */
export function decodeRanges(text: string, limit: number): number[] {
	const indices: number[] = [];
	if (text === "") return indices;
	for (const part of text.split(",")) {
		const [first = "", last = first] = part.split("-");
		for (
			let index = Number(first);
			index <= Number(last) && index < limit;
			index++
		)
			indices.push(index);
	}
	return indices;
}
