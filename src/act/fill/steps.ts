import type { FillStep } from "../../plan/fill.ts";
import type { Fetcher } from "../fetch/fetcher.ts";
import { findManifest, type ManifestPorts } from "../play/manifest.ts";

export interface StepPorts extends ManifestPorts {
	readonly fetcher: Fetcher;
}

type Executors = {
	readonly [Kind in FillStep["kind"]]: (
		step: Extract<FillStep, { readonly kind: Kind }>,
		ports: StepPorts,
		signal: AbortSignal,
	) => Promise<void>;
};

/** One for each kind of step. Failures are thrown; what was done is seen on disk. */
const EXECUTORS: Executors = {
	"fetch-manifest": async ({ title }, ports, signal) => {
		await findManifest(title, ports, signal);
	},
	"fetch-shard": async ({ title, shard, origin }, ports, signal) => {
		const manifest = await findManifest(title, ports, signal);
		// Whether all of it came shows on the disk.
		await ports.fetcher.fill({ title, shard, manifest }, origin, signal);
	},
};

export function execute<Kind extends FillStep["kind"]>(
	step: Extract<FillStep, { readonly kind: Kind }>,
	ports: StepPorts,
	signal: AbortSignal,
): Promise<void> {
	const kind: Kind = step.kind;
	return EXECUTORS[kind](step, ports, signal);
}
