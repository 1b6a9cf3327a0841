import { Gauge, Registry } from "prom-client";
import type { Watching } from "../../gateway/watching.ts";
import { labelled } from "../../wire/near.ts";
import { type ByLevel, nearIn } from "../../wire/reports.ts";
import type { Statements } from "../fleet/database.ts";
import { type RegionView, regions } from "../fleet/views.ts";
import type { Text } from "./reply.ts";

type Figure = Exclude<keyof RegionView, "region" | ByLevel>;

/** Over all boxes of a region that are not shut out, as they last told. */
const FIGURES: Readonly<Record<Figure, readonly [string, string]>> = {
	boxes: ["boxes", "Boxes that belong to the region"],
	online: ["boxes_online", "Boxes that are online"],
	standby: ["boxes_standby", "Boxes that are online in standby"],
	ailing: ["boxes_disk_trouble", "Boxes whose disk is not good"],
	capacity: ["capacity_bytes", "What quotas and disks allow"],
	used: ["used_bytes", "Bytes of titles on disks"],
	placed: ["placed_bytes", "Bytes that boxes are to hold"],
	held: ["held_bytes", "Bytes of those that they hold"],
	missing: ["missing_bytes", "Bytes of those that there is no room for"],
	fromNeighbours: ["from_neighbours_bytes", "Received from neighbours"],
	fromOrigin: ["from_origin_bytes", "Received from the origin"],
	toNeighbours: ["to_neighbours_bytes", "Sent to neighbours"],
	toPlayers: ["to_players_bytes", "Handed to players"],
	playedFromDisk: ["played_from_disk_bytes", "Handed to players from disks"],
	playedFromNeighbours: [
		"played_from_neighbours_bytes",
		"Handed to players from neighbours",
	],
	playedFromOrigin: [
		"played_from_origin_bytes",
		"Handed to players from the origin",
	],
};

/**
 * The fleet's figures for Prometheus, by region. All are gauges, also what was moved over all sessions: with a box that is shut out,
 * what it moved leaves the sum. How films were to watch counts since the headend started.
 */
export async function fleetFigures(
	database: Statements,
	watching: Watching,
): Promise<Text> {
	const registry = new Registry();
	watching.register(registry);
	const views = await regions(database);
	for (const [figure, [name, help]] of Object.entries(FIGURES)) {
		const gauge = new Gauge({
			...{ name: `larder_region_${name}`, help },
			...{ labelNames: ["region"], registers: [registry] },
		});
		for (const view of views)
			gauge.set({ region: view.region }, view[figure as Figure]);
	}
	const levels = new Gauge({
		name: "larder_region_from_neighbours_by_level_bytes",
		help: "Received from neighbours, by how near they are: 0 is nearest",
		...{ labelNames: ["region", "level"], registers: [registry] },
	});
	for (const view of views)
		for (const [level, bytes] of labelled(nearIn(view), view.fromNeighbours))
			levels.set({ region: view.region, level }, bytes);
	return { type: registry.contentType, text: await registry.metrics() };
}
