/** How many letters apart a guess may be. */
const REACH = 3;

/**
 * The known word that was probably meant: `swram.port` and `port` both find `swarm.port`. Undefined when none is near.
 * Words are dotted; a wrong or missing section counts as one letter.
 */
export function suggest(
	word: string,
	known: readonly string[],
): string | undefined {
	let best: string | undefined;
	let least = REACH;
	for (const each of known) {
		const apart = Math.min(
			distance(word, each),
			distance(last(word), last(each)) + 1,
		);
		if (apart < least && apart < each.length) {
			best = each;
			least = apart;
		}
	}
	return best;
}

function last(word: string): string {
	return word.slice(word.lastIndexOf(".") + 1);
}

/** Levenshtein distance: V. I. Levenshtein, 1966; the row-by-row form of Wagner and Fischer, 1974. */
function distance(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, i) => i);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++) {
			const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
			next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[b.length] ?? 0;
}
