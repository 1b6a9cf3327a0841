import * as z from "zod/mini";
import { boxId } from "../../wire/ids.ts";
import { reason } from "../audit.ts";
import type { Enrolment } from "../enrol/enrolment.ts";
import { isSerial } from "../enrol/serials.ts";
import { type changesIn, type Routes, reads } from "./routing.ts";

const rejection = z.union([
	z.object({ box: boxId, why: reason }),
	z.object({ batch: z.string().check(z.maxLength(32)), why: reason }),
]);
/** Without serials, nobody is let in without a person. */
const stock = z.object({
	serials: z.array(z.string().check(z.refine(isSerial, "no serial number"))),
});
/** Room for a million serials. */
const MAX_STOCK = 64 * 1024 * 1024;
/** Enrolments in one answer. */
const ENROLMENTS = 20_000;

/** How boxes are let in. */
export function enrolRoutes(
	view: () => Promise<unknown>,
	{ registrar }: Pick<Enrolment, "registrar">,
	changes: ReturnType<typeof changesIn>,
): Routes {
	return {
		"/api/enrol": { GET: reads(view) },
		"/api/enrol/list": { GET: reads(() => registrar.list(ENROLMENTS)) },
		"/api/enrol/approve": {
			POST: changes(
				z.object({ box: boxId }),
				({ box }) => ({ action: "enrol-approve", subject: box }),
				async ({ box }, visitor) => ({
					revoked: await registrar.approve(box, visitor),
				}),
			),
		},
		"/api/enrol/reject": {
			POST: changes(
				rejection,
				({ why, ...which }) => ({
					action: "enrol-reject",
					subject: "box" in which ? which.box : `batch ${which.batch}`,
					why,
				}),
				async ({ why, ...which }) => ({
					rejected: await registrar.reject(which, why),
				}),
			),
		},
		"/api/enrol/auto": {
			POST: changes(
				stock,
				({ serials: { length } }) => ({
					action: "enrol-auto",
					subject: length === 0 ? "off" : `${length} serials`,
				}),
				async ({ serials }) => {
					await registrar.takeStock(serials);
					return { ok: true };
				},
				{ limit: MAX_STOCK },
			),
		},
	};
}
