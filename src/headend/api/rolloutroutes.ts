import * as z from "zod/mini";
import { DAY, SECOND } from "../../base/time.ts";
import { version } from "../../wire/release.ts";
import { reason } from "../audit.ts";
import type { RolloutDeeds } from "../rollout/rollouts.ts";
import { type changesIn, type Routes, reads } from "./routing.ts";

const share = z.number().check(z.minimum(0), z.maximum(1));
const wanted = z.object({
	version,
	waves: z.array(share).check(
		z.minLength(1),
		z.maxLength(20),
		z.refine(
			(waves) => waves.every((each, i) => each > (waves[i - 1] ?? 0)),
			"waves must rise",
		),
	),
	abortAt: share,
	soak: z.number().check(z.int(), z.minimum(0), z.maximum(30 * DAY)),
});
const change = z.object({ why: z.optional(reason) });

const percent = (share: number) => `${Math.round(share * 10_000) / 100} %`;

/** How releases are brought to boxes. */
export function rolloutRoutes(
	rollouts: RolloutDeeds,
	changes: ReturnType<typeof changesIn>,
): Routes {
	const changed = (
		action: "rollout-pause" | "rollout-resume" | "rollout-abort",
		work: (why: string | null) => Promise<void>,
	) => ({
		POST: changes(
			change,
			({ why }) => ({ action, why }),
			async ({ why = null }) => {
				await work(why);
				return { ok: true };
			},
		),
	});
	return {
		"/api/rollouts": { GET: reads(() => rollouts.views()) },
		"/api/rollout/start": {
			POST: changes(
				wanted,
				({ version, waves, abortAt, soak }) => ({
					...{ action: "rollout-start", subject: version },
					how: `waves ${waves.map(percent).join(", ")}, abort at ${percent(abortAt)}, soak ${soak / SECOND} s`,
				}),
				async (it) => {
					await rollouts.start(it);
					return { ok: true };
				},
			),
		},
		"/api/rollout/pause": changed("rollout-pause", (why) =>
			rollouts.pause(why),
		),
		"/api/rollout/resume": changed("rollout-resume", () => rollouts.resume()),
		"/api/rollout/abort": changed("rollout-abort", (why) =>
			rollouts.abort(why),
		),
	};
}
