// A region on loopback for one test: its DHT node, its operator and an origin, all ended with the test.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import type { Link } from "../../src/swarm/link.ts";
import type { Neighbour } from "../../src/swarm/neighbour.ts";
import {
	type BoxSettings,
	makeBootstrap,
	makeBox,
	makeOperator,
	makeOrigin,
	type TestBox,
	type TestOperator,
	type TestOrigin,
	type TestTitle,
	until,
} from "../fixture.ts";

export interface TestRegion {
	readonly operator: TestOperator;
	readonly address: string;
	readonly origin: TestOrigin;
	/** A box of the region; its folder has its name. */
	box(name: string, settings?: Partial<BoxSettings>): Promise<TestBox>;
	/** Ends the operator's DHT node. */
	end(): Promise<void>;
}

/** @param titles at the origin */
export async function makeRegion(
	t: Test,
	...titles: TestTitle[]
): Promise<TestRegion> {
	t.setTimeout(120_000);
	const root = t.testdir();
	const { node, address } = await makeBootstrap();
	t.teardown(() => node.destroy());
	const origin = await makeOrigin(...titles);
	t.teardown(() => origin.close());
	const operator = makeOperator();
	return {
		operator,
		address,
		origin,
		async box(name, settings = {}) {
			const folder = join(root, name);
			mkdirSync(folder, { recursive: true });
			const bootstrap = [address];
			const box = await makeBox({
				...{ folder, operator, bootstrap, origin: origin.origin },
				...settings,
			});
			t.teardown(() => box.close());
			return box;
		},
		end: () => node.destroy(),
	};
}

/** Waits until `box` has `other` as a neighbour, over this transport if one is named. */
export async function meet(
	box: TestBox,
	other: TestBox,
	transport?: Link["transport"],
): Promise<Neighbour> {
	const neighbour = () => box.swarm.neighbours.get(other.id);
	await until(() => {
		const best = neighbour()?.best;
		return best !== undefined && (!transport || best.transport === transport);
	});
	return neighbour()!;
}

/** Fills shards of a title that the box's neighbours hold; all of them unless some are named. */
export async function fill(
	box: TestBox,
	title: TestTitle,
	shards: Iterable<number> = title.manifest.shards.keys(),
): Promise<void> {
	const { signal } = new AbortController();
	const unwatch = box.swarm.watch(title.id);
	const { id, manifest } = title;
	await box.store.putManifest(id, title.manifestBytes);
	for (const shard of shards) {
		const place = { title: id, shard, manifest };
		while (!(await box.fetcher.fill(place, false, signal)));
	}
	unwatch();
}

/** Whether a box has the whole title, byte for byte. */
export async function has(box: TestBox, title: TestTitle): Promise<boolean> {
	const { manifest, id, shardFiles } = title;
	for (const [shard, file] of shardFiles.entries()) {
		const count = Math.ceil((file.length - 1) / (manifest.blockSize + 32));
		const bytes = await box.store.read(id, { shard, first: 0, count });
		if (!bytes?.equals(file.subarray(0, bytes.length))) return false;
	}
	return true;
}
