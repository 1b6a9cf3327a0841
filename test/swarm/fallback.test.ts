import { once } from "node:events";
import t, { type Test } from "tap";
import { KiB, MiB } from "../../src/base/units.ts";
import type { Shelf } from "../../src/swarm/upload.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { hold, makeTitle } from "../fixture.ts";
import { RELAY_HOST, Relay } from "../relay.ts";
import { fill, has, makeRegion, meet } from "./region.ts";

t.setTimeout(120_000);

/** Four shards of a MiB each. */
const film = makeTitle(4 * MiB, 64 * KiB, 16, "film");
const next = makeTitle(MiB + 321, 64 * KiB, 16, "next");

/** A box that holds both titles, behind a relay, and one that dials it; the origin has them too. */
async function scene(t: Test, shelf?: (honest: Shelf) => Partial<Shelf>) {
	const region = await makeRegion(t, film, next);
	const keys = [generateKeyPair(), generateKeyPair()];
	// Of two neighbours the one with the higher key dials.
	keys.sort((a, b) => a.publicKey.compare(b.publicKey));
	const holder = await region.box("holder", {
		key: keys[0]!,
		host: RELAY_HOST,
		...(shelf && { shelf }),
	});
	await hold(holder, film);
	await hold(holder, next);
	const relay = await Relay.open(t, holder.swarm.tcpPort!);
	const join = () => region.box("box", { key: keys[1]! });
	return { region, holder, relay, join };
}

t.test(
	"TCP is lost while blocks are on their way: the Hyperswarm stream takes over until TCP is back",
	async (t) => {
		const { region, holder, relay, join } = await scene(t);
		// In the middle of a block.
		relay.cutAt = 0.5 * MiB + 1234;
		const box = await join();
		await meet(box, holder, "tcp");
		await fill(box, film, true, [0, 1]);
		const { passed } = relay;
		t.ok(passed < MiB, "it was lost in the first shard of four");
		relay.door = "open";
		await meet(box, holder, "tcp");
		await fill(box, film, true, [2, 3]);
		t.ok(relay.passed - passed > 2 * MiB, "the other half came over TCP");
		t.ok(await has(box, film));
		t.equal(region.origin.sent(), 0);
		t.equal(box.traffic.wrong, 0);
		t.same([...box.swarm.refusals], []);
	},
);

t.test(
	"TCP is lost while leaves are owed: the Hyperswarm stream gives them",
	async (t) => {
		const { region, holder, relay, join } = await scene(t, (honest) => ({
			leaves(...asked) {
				if (relay.door === "open" && asked[1] === 2) relay.cut();
				return honest.leaves(...asked);
			},
		}));
		const box = await join();
		await meet(box, holder, "tcp");
		await fill(box, film, true);
		t.equal(relay.door, "shut", "it was lost");
		t.ok(await has(box, film));
		t.equal(region.origin.sent(), 0);
		t.equal(box.traffic.wrong, 0);
	},
);

t.test("TCP is lost: the box may be gone", async (t) => {
	const { holder, relay, join } = await scene(t, (honest) => ({
		blocks(...asked) {
			if (relay.door === "open") relay.cut();
			return honest.blocks(...asked);
		},
	}));
	const box = await join();
	const neighbour = await meet(box, holder, "tcp");
	const { id, manifest } = film;
	const { blockSize } = manifest;
	const run = { shard: 0, first: 0, count: 1 };
	const wanted = { title: id, run, bytes: blockSize, blockSize, urgent: true };
	const { signal } = new AbortController();
	const asked = box.swarm.blocks(holder.id, wanted, () => undefined, signal);
	await t.rejects(asked, { message: "the neighbour failed: gone" });
	const { download } = neighbour.wires[0]!.link;
	t.equal(download.window, 0, "it is asked for one thing at a time");
	await fill(box, film, true, [0]);
	t.ok(download.window > 0, "until it has given some");
});

t.test("a listener that never answers holds nothing up", async (t) => {
	const { region, holder, relay, join } = await scene(t);
	relay.door = "mute";
	const dialled = once(relay, "dialled");
	const box = await join();
	await dialled;
	await meet(box, holder, "udx");
	await fill(box, film, true);
	t.ok(await has(box, film));
	await once(relay, "closed");
	await once(relay, "dialled");
	await fill(box, next, true);
	t.ok(await has(box, next), "given up and dialled again meanwhile");
	t.equal(relay.passed, 0);
	t.equal(region.origin.sent(), 0);
	t.equal(box.traffic.wrong, 0);
	relay.door = "open";
	await meet(box, holder, "tcp");
	t.pass("it is dialled until it answers");
});
