import type { Wear } from "../wire/reports.ts";

/** From here on somebody should know, in percent of the life that the maker gives it. */
const WORN = 80;

/** Whether flash is so old that its receiver is to be replaced. */
export function isWorn({ used, reserve }: Wear): boolean {
	return used >= WORN || reserve !== "normal";
}

/** `up to 90 % of its life is used, its reserve is warning`. */
export function wearWords({ used, reserve }: Wear): string {
	return `up to ${used} % of its life is used, its reserve is ${reserve}`;
}
