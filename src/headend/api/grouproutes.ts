import * as z from "zod/mini";
import type { Fleet } from "../fleet/fleet.ts";
import { place } from "../fleet/groups.ts";
import type { Planner } from "../fleet/planner.ts";
import type { changesIn, Routes } from "./routing.ts";

/** Room for a million receivers. */
const MAX_PLACES = 256 * 1024 * 1024;
const placesRequest = z.object({
	places: z.array(place).check(z.minLength(1)),
});

/** Where boxes are in the access tree. */
export function groupRoutes(
	fleet: Pick<Fleet, "place">,
	planner: Pick<Planner, "plan">,
	changes: ReturnType<typeof changesIn>,
): Routes {
	return {
		"/api/group": {
			POST: changes(
				placesRequest,
				({ places }) => {
					const [one] = places;
					const subject =
						places.length === 1 ? one?.serial : `${places.length} boxes`;
					return { action: "group", subject };
				},
				async ({ places }) => {
					await fleet.place(places);
					return { told: (await planner.plan()).told };
				},
				{ limit: MAX_PLACES },
			),
		},
	};
}
