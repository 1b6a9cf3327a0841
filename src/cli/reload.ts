import { readConfig, reloadTrouble } from "../headend/operator/config.ts";
import { print, tint } from "./output.ts";

/** Says, once a box is shut out, when its broker lets it in all the same. */
export async function warnOfReload(dir: string): Promise<void> {
	const trouble = reloadTrouble(await readConfig(dir));
	if (trouble !== undefined) print(`${tint("warn", "but")} ${trouble}`);
}
