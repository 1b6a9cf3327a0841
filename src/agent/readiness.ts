import type { Control } from "../control/control.ts";
import type { CatalogReader } from "../logs/reader.ts";

/** Whether players can be served what the operator offers, and if not, what is missing, for a person. */
export function readiness(
	control: Pick<Control, "standing" | "trouble">,
	catalog: Pick<CatalogReader, "progress">,
): { readonly ready: boolean; readonly why: string } {
	const { have, expected } = catalog.progress;
	if (have > 0) return { ready: true, why: "" };
	if (control.standing.announcement === undefined) {
		const trouble = control.trouble ?? "nothing has come from the operator yet";
		return { ready: false, why: `the catalog is not known: ${trouble}` };
	}
	if (expected === 0) return { ready: true, why: "" };
	return { ready: false, why: `0 of ${expected} catalog blocks are here` };
}
