// A region on loopback for one test: its DHT node, its operator and an origin, all ended with the test.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { within } from "../../src/base/time.ts";
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
	// Not tap's own folder, which goes before the boxes that live in it.
	const root = mkdtempSync(join(tmpdir(), "larder-region-"));
	t.teardown(() => rmSync(root, { recursive: true, force: true }));
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

/** Brings a title, or some shards of it, to a box: from its neighbours, and with `origin` from there when nobody else has it. */
export async function fill(
	box: TestBox,
	title: TestTitle,
	origin = false,
	shards: Iterable<number> = title.manifest.shards.keys(),
): Promise<void> {
	const { id, manifest } = title;
	const { signal } = new AbortController();
	const unwatch = box.swarm.watch(id);
	await box.store.putManifest(id, title.manifestBytes);
	for (const shard of shards) {
		const place = { title: id, shard, manifest };
		for (;;) {
			const news = Promise.withResolvers<void>();
			const end = box.swarm.onNews(() => news.resolve());
			const done = await box.fetcher.fill(place, origin, signal);
			// Nobody could be asked just now: when somebody can be, it is news, or a moment has passed.
			if (!done) await within(50, news.promise, undefined);
			end();
			if (done) break;
		}
	}
	unwatch();
}

/** Plays a title from its first byte to its last, or so many. */
export async function watch(
	box: TestBox,
	{ id, manifest }: TestTitle,
	offset = 0,
	length = manifest.size - offset,
	signal = new AbortController().signal,
): Promise<Buffer> {
	const open = await box.library.open(id, signal);
	const parts: Buffer[] = [];
	for await (const part of open.read(offset, length, signal)) parts.push(part);
	return Buffer.concat(parts);
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
