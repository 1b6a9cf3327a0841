import { InvalidArgumentError } from "commander";

/** Reads an option that takes a whole number. */
export function whole(
	least: number,
	most = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
	return (text) => {
		const value = Number(text);
		if (/^\d+$/.test(text) && value >= least && value <= most) return value;
		const range =
			most === Number.MAX_SAFE_INTEGER
				? `of at least ${least}`
				: `from ${least} to ${most}`;
		throw new InvalidArgumentError(`It takes a whole number ${range}.`);
	};
}
