import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { shardCount } from "../../../src/content/geometry.ts";
import { readManifest } from "../../../src/content/manifest.ts";
import { publish } from "../../../src/headend/publish/publish.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { listed, spreadDesk } from "../network/desk.ts";
import {
	COPIES,
	type Contestant,
	type House,
	type Stage,
} from "./contestant.ts";
import { followSources } from "./follow.ts";

/** Agents as they are bundled for boxes, filled by a headend's plan. */
export const larder: Contestant = {
	name: "larder",
	about: `the bundled agents with their defaults, ${COPIES} copies of each shard placed by a headend; the origin is nginx behind the trunk`,
	open,
};

async function open(
	{ dir, film, network, titles }: Stage,
	signal: AbortSignal,
): Promise<House> {
	const spread = await spreadDesk(dir, network, { copies: COPIES }, signal);
	const { desk, origin, addBoxes, close } = spread;
	try {
		const boxes = await addBoxes();
		const ids: TitleId[] = [];
		let shards = 0;
		for (let i = 0; i < titles; i++) {
			const { title } = await publish(
				{ operatorDir: desk.operator.dir, source: film, kind: "title" },
				signal,
			);
			const bytes = await readFile(join(origin, title.id, "manifest"));
			const manifest = readManifest(title.id, bytes);
			if (!manifest.ok) throw new Error(manifest.detail);
			shards += shardCount(manifest.value);
			ids.push(title.id);
		}
		await desk.filled(shards * COPIES, signal);
		for (const box of boxes) await listed(desk, box, titles, signal);
		const boxAt = (box: number) => {
			const one = boxes[box];
			if (one === undefined) throw new Error(`there is no box ${box}`);
			return one;
		};
		return {
			urlOf: (box, title) =>
				`${desk.gatewayOf(boxAt(box))}/titles/${ids[title]}`,
			sourcesOf: async (box) => {
				const { counters } = await desk.statusOf(boxAt(box));
				return {
					disk: counters.playedFromDisk,
					neighbours: counters.playedFromNeighbours,
					origin: counters.playedFromOrigin,
				};
			},
			follow: (box) => {
				const one = boxAt(box);
				return followSources(one.within ?? [], desk.gatewayOf(one));
			},
			kill: async (box) => {
				await boxAt(box).process?.stop("SIGKILL");
			},
			close,
		};
	} catch (error) {
		await close();
		throw error;
	}
}
