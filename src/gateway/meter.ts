import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** What the gateway counts. No label ever names a title. */
export interface Meter {
	readonly requests: Counter<"route" | "status">;
	readonly bytes: Counter;
	readonly firstByte: Histogram;
	readonly aborted: Counter;
	readonly failures: Counter<"code">;
	readonly active: Gauge;
	readonly turnedAway: Counter;
	readonly unread: Counter;
}

export function createMeter(registry: Registry): Meter {
	const registers = [registry];
	return {
		requests: new Counter({
			name: "larder_gateway_requests_total",
			help: "Requests answered, by route and HTTP status.",
			labelNames: ["route", "status"],
			registers,
		}),
		bytes: new Counter({
			name: "larder_gateway_sent_bytes_total",
			help: "Bytes of titles sent to players.",
			registers,
		}),
		firstByte: new Histogram({
			name: "larder_gateway_first_byte_seconds",
			help: "From a player's request for title bytes to the first of them.",
			buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
			registers,
		}),
		aborted: new Counter({
			name: "larder_gateway_aborted_total",
			help: "Requests that the player gave up before their end.",
			registers,
		}),
		failures: new Counter({
			name: "larder_gateway_failures_total",
			help: "Requests that failed, by error code.",
			labelNames: ["code"],
			registers,
		}),
		active: new Gauge({
			name: "larder_gateway_active_requests",
			help: "Requests being answered now.",
			registers,
		}),
		turnedAway: new Counter({
			name: "larder_gateway_turned_away_total",
			help: "Connections closed at once because there were too many.",
			registers,
		}),
		unread: new Counter({
			name: "larder_gateway_cmcd_ignored_total",
			help: "Requests whose CMCD was not as CTA-5004 has it, and was ignored.",
			registers,
		}),
	};
}
