import type { Control } from "../control/control.ts";
import type { ShardStore } from "../store/store.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Check, Diagnosis } from "../wire/ipc.ts";
import { checkBox, checkStore } from "./checks.ts";
import type { Config } from "./config.ts";
import { failure, finding } from "./finding.ts";
import { checkHousehold, type HouseholdParts } from "./household/findings.ts";
import type { Identity } from "./identity.ts";
import type { Reach } from "./reach.ts";

export interface DoctorParts extends HouseholdParts {
	readonly config: Config;
	readonly store: { readonly disk: Pick<ShardStore["disk"], "report"> };
	readonly identity: Pick<Identity, "trust">;
	readonly swarm: Pick<Swarm, "nodes" | "survey" | "refusals" | "neighbours">;
	readonly reach: Pick<Reach, "look">;
	readonly control: Pick<Control, "connected" | "trouble">;
}

/**
 * Says what is wrong with a running box and what to do, for `larder doctor`.
 * Invariant: one examination at a time, for all who ask meanwhile. It asks the broker, the origin and DHT nodes, who are not to
 * hear from this box as often as somebody on it likes.
 */
export class Doctor {
	private readonly parts: DoctorParts;
	private examining: Promise<Diagnosis> | undefined;

	constructor(parts: DoctorParts) {
		this.parts = parts;
	}

	examine(): Promise<Diagnosis> {
		this.examining ??= diagnose(this.parts)
			.then((checks) => ({ checks }))
			.finally(() => {
				this.examining = undefined;
			});
		return this.examining;
	}
}

/** The checks from outside, and what only the agent can see. */
async function diagnose(parts: DoctorParts): Promise<Check[]> {
	const { config, identity, store, swarm, control, reach } = parts;
	const [outside, reached, household] = await Promise.all([
		checkBox(config, identity.trust, swarm),
		reach.look(),
		checkHousehold(parts),
	]);
	const refused = [...swarm.refusals].map(([slug, n]) => `${n} × ${slug}`);
	return [
		...outside,
		checkStore(store.disk.report),
		control.connected
			? finding("control plane", "ok", "connected")
			: failure(
					"control plane",
					new Error(control.trouble ?? "not connected"),
					"Check broker.url, and that the broker lets this box in.",
				),
		swarm.neighbours.size > 0
			? finding("neighbours", "ok", `${swarm.neighbours.size} connected`)
			: finding(
					"neighbours",
					"warn",
					`none connected${refused.length > 0 ? `; refused: ${refused.join(", ")}` : ""}`,
					"Check that swarm.bootstrap is reachable over UDP and that other boxes of the region are up.",
				),
		reached.check,
		...household,
		finding(
			"memory",
			process.memoryUsage.rss() > 192e6 ? "warn" : "ok",
			`${Math.round(process.memoryUsage.rss() / 1e6)} MB resident`,
			"Lower swarm.max_peers.",
		),
	];
}
