import { LarderError } from "../base/errors.ts";
import type { Recent } from "../base/recent.ts";
import { monotonic, SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { BoxId } from "../wire/ids.ts";
import type { Diagnosis, Status } from "../wire/ipc.ts";
import { bundleOf } from "./bundle.ts";
import type { Config } from "./config.ts";
import { machineOf } from "./machine.ts";

/** The headend waits 10 s. */
const PATIENCE: Millis = 6 * SECOND;
/** A bundle takes CPU, and room until the broker has it. */
const PAUSE: Millis = 10 * SECOND;

export interface SupportParts {
	readonly box: BoxId;
	readonly config: Config;
	readonly status: () => Promise<Status>;
	readonly examine: () => Promise<Diagnosis>;
	readonly recent: Recent;
}

/** Makes support bundles of a running box, not one after the other. */
export class Support {
	private readonly parts: SupportParts;
	private last: Millis = Number.NEGATIVE_INFINITY;

	constructor(parts: SupportParts) {
		this.parts = parts;
	}

	/** A .tar.gz: see there. Rejects with COMMAND_FAILED when one was made a moment ago. */
	async make(): Promise<Buffer> {
		const now = monotonic();
		if (now - this.last < PAUSE)
			throw new LarderError("COMMAND_FAILED", "one was made a moment ago");
		this.last = now;
		const { box, config, status, examine, recent } = this.parts;
		const late = { checks: [] };
		const [{ checks }, machine, state] = await Promise.all([
			within(PATIENCE, examine(), late),
			machineOf(config.data),
			status(),
		]);
		const logs = { "agent.log": recent.text };
		return bundleOf({ box, config, status: state, checks, machine, logs });
	}
}
