import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import type { Ledger } from "../act/ledger.ts";
import type { Control } from "../control/control.ts";
import type { ShardStore } from "../store/store.ts";
import type { Swarm } from "../swarm/swarm.ts";
import { labelled } from "../wire/near.ts";
import { type ByLevel, type Counters, nearIn } from "../wire/reports.ts";

const COUNTED: Readonly<Record<Exclude<keyof Counters, ByLevel>, string>> = {
	fromNeighbours: "Bytes of titles received from neighbours",
	fromOrigin: "Bytes of titles received from the origin",
	toNeighbours: "Bytes of titles sent to neighbours",
	toPlayers: "Bytes handed to players",
	playedFromDisk: "Bytes handed to players that were on disk",
	playedFromNeighbours: "Bytes handed to players that came from neighbours",
	playedFromOrigin: "Bytes handed to players that came from the origin",
	wrongBlocks: "Blocks or leaves thrown away because they did not verify",
};

/** The box's figures for Prometheus; the gateway serves them. */
export function createRegistry(
	ledger: Ledger,
	store: ShardStore,
	swarm: () => Swarm,
	control: Pick<Control, "refusals">,
): Registry {
	const registry = new Registry();
	const registers = [registry];
	collectDefaultMetrics({ register: registry });
	for (const [name, help] of Object.entries(COUNTED)) {
		new Counter({
			name: `larder_${snake(name)}_total`,
			help,
			registers,
			collect() {
				this.reset();
				this.inc(ledger.counters[name as keyof typeof COUNTED]);
			},
		});
	}
	new Counter({
		name: "larder_from_neighbours_by_level_total",
		help: "Bytes of titles received from neighbours, by how near they are: 0 is nearest",
		labelNames: ["level"],
		registers,
		collect() {
			this.reset();
			const { counters } = ledger;
			const near = nearIn(counters);
			for (const [level, bytes] of labelled(near, counters.fromNeighbours))
				this.inc({ level }, bytes);
		},
	});
	gauge(
		"larder_store_capacity_bytes",
		"What quota and disk allow",
		() => store.capacity,
	);
	gauge("larder_store_used_bytes", "Bytes on disk", () => store.usedBytes);
	gauge(
		"larder_neighbours",
		"Neighbours connected",
		() => swarm().neighbours.size,
	);
	bySlug(
		"larder_refused_connections_total",
		"Connections that did not pass membership, by reason",
		() => swarm().refusals,
	);
	bySlug(
		"larder_refused_messages_total",
		"Messages of the broker and heads of neighbours that were not obeyed, by reason",
		() => control.refusals,
	);
	return registry;

	function bySlug(
		name: string,
		help: string,
		counts: () => ReadonlyMap<string, number>,
	): void {
		new Counter({
			name,
			help,
			labelNames: ["slug"],
			registers,
			collect() {
				this.reset();
				for (const [slug, count] of counts()) this.inc({ slug }, count);
			},
		});
	}

	function gauge(name: string, help: string, value: () => number): void {
		new Gauge({
			name,
			help,
			registers,
			collect() {
				this.set(value());
			},
		});
	}
}

function snake(name: string): string {
	return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
