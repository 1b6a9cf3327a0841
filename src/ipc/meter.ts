import { Counter, type Registry } from "prom-client";

/** What the agent's socket counts. No label holds what a client sent. */
export interface Meter {
	readonly requests: Counter<"method">;
	readonly refusals: Counter<"reason">;
}

export function createMeter(registry: Registry): Meter {
	const registers = [registry];
	return {
		requests: new Counter({
			name: "larder_ipc_requests_total",
			help: "Requests to the agent's socket, by method.",
			labelNames: ["method"],
			registers,
		}),
		refusals: new Counter({
			name: "larder_ipc_refusals_total",
			help: "Clients of the agent's socket that were hung up on, by reason.",
			labelNames: ["reason"],
			registers,
		}),
	};
}
