import { MINUTE } from "../../base/time.ts";
import type { IpcHandlers } from "../../ipc/session.ts";
import type { HouseholdStatus } from "../../wire/ipc.ts";
import type { Household } from "./household.ts";

/** What may be told of the household over IPC. Each answers with how it stands then. */
export function householdHandlers(household: Household) {
	const then =
		<P>(work: (params: P) => Promise<void> | void) =>
		async (params: P): Promise<HouseholdStatus> => {
			await work(params);
			return household.status;
		};
	return {
		"activity-live": then(() => household.tell("live")),
		"activity-recording": then(() => household.tell("recording")),
		"activity-idle": then(() => household.tell("idle")),
		underrun: then(() => household.underrun()),
		pause: then((wish) =>
			household.pause((wish?.minutes ?? Number.POSITIVE_INFINITY) * MINUTE),
		),
		resume: then(() => household.pause(0)),
		limits: then((wish) => household.limit(wish ?? {})),
		"opt-in": then(() => household.takePart("in")),
		"opt-out": then(() => household.takePart("out")),
		drain: then(() => household.takePart("draining")),
	} satisfies Partial<IpcHandlers>;
}
