import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import {
	listed,
	type SpreadDesk,
	spreadDesk,
} from "../../../scripts/bench/network/desk.ts";
import { Network, type Node } from "../../../scripts/bench/network/network.ts";
import { MINUTE } from "../../../src/base/time.ts";
import type { Millis, Rate } from "../../../src/base/units.ts";
import { shardCount } from "../../../src/content/geometry.ts";
import { readManifest } from "../../../src/content/manifest.ts";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { publish } from "../../../src/headend/publish/publish.ts";
import { type Film, temporary } from "../desk.ts";
import { writeFilm } from "./film.ts";

/** Bits a second: of an uplink, of a downlink, and of the trunk. */
export const UP = 5e6;
const DOWN = 50e6;
const TRUNK = 50e6;
/** Of a receiver that is on its own machine, where nobody else has the port: its player comes back to it after a restart. */
const GATEWAY = 8480;
const PATIENCE: Millis = 5 * MINUTE;

export interface RegionOptions {
	/** Boxes on which titles are placed. */
	readonly holders: number;
	/** Boxes on which nothing is placed. */
	readonly viewers: number;
	readonly copies: number;
}

/** Boxes behind uplinks of their own, in a network that ends with the test, and what is the operator's. */
export interface Region extends SpreadDesk {
	readonly network: Network;
	readonly holders: readonly DeskBox[];
	readonly viewers: readonly DeskBox[];
	nodeOf(box: DeskBox): Node;
	/** From now on uplinks, downlinks and trunk are as narrow as they are to be. */
	narrow(): Promise<void>;
	/** Publishes films of so many bits a second, in shards of so many blocks or the usual ones, and waits until all boxes list them. */
	publish(
		count: number,
		length: Millis,
		rate: Rate,
		shardBlocks?: number,
	): Promise<Film[]>;
	/** Resolves when all copies of these films, and of those before, are held. */
	filled(films: readonly Film[]): Promise<void>;
}

export async function openRegion(
	t: Test,
	{ holders, viewers, copies }: RegionOptions,
): Promise<Region> {
	const dir = await temporary(t);
	const network = await Network.open(holders + viewers);
	t.teardown(() => network.close());
	const signal = AbortSignal.timeout(PATIENCE);
	const spread = await spreadDesk(dir, network, { copies }, signal);
	t.teardown(() => spread.close());
	const { desk, origin, addBoxes } = spread;
	const gatewayPort = GATEWAY;
	const holding = await addBoxes({ gatewayPort }, 0, holders);
	const viewing = await addBoxes({ gatewayPort, streamingShare: 1 }, holders);
	const boxes = [...holding, ...viewing];
	let published = 0;
	let shards = 0;
	return {
		...spread,
		...{ network, holders: holding, viewers: viewing },
		nodeOf: (box) => {
			const node = network.boxes[boxes.indexOf(box)];
			if (node === undefined) throw new Error(`${box.name} is not of here`);
			return node;
		},
		narrow: () => network.shape({ source: TRUNK, up: UP, down: DOWN }),
		publish: async (count, length, rate, shardBlocks) => {
			const source = join(dir, `film-${published}`);
			await writeFilm(source, length, rate / 8);
			const films: Film[] = [];
			for (let i = 0; i < count; i++) {
				const assetId = `film-${published++}`;
				const { title } = await publish(
					{
						operatorDir: desk.operator.dir,
						...{ source, kind: "title", assetId },
						...(shardBlocks !== undefined && { shardBlocks }),
					},
					signal,
				);
				const bytes = await readFile(join(origin, title.id, "manifest"));
				const read = readManifest(title.id, bytes);
				if (!read.ok) throw new Error(read.detail);
				const manifest = read.value;
				const { id } = title;
				films.push({ id, source, manifest, shards: shardCount(manifest) });
			}
			for (const box of boxes) await listed(desk, box, published, signal);
			return films;
		},
		filled: async (films) => {
			for (const film of films) shards += film.shards * copies;
			await desk.filled(shards, signal);
		},
	};
}
