import t from "tap";
import { NeighbourFailed } from "../../src/act/ports.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { fill, has, makeRegion, meet } from "./region.ts";

const BLOCK = 65_536;
const title = makeTitle(16 * BLOCK, BLOCK, 16);
const { id } = title;
const { signal } = new AbortController();

for (const transport of ["tcp", "udx"] as const) {
	t.test(`a box leaves and comes back, over ${transport}`, async (t) => {
		const region = await makeRegion(t);
		const tcp = transport === "tcp";
		// So slow that an answer is on its way for seconds.
		const a = await region.box("a", { tcp, up: BLOCK });
		const b = await region.box("b", { tcp });
		await hold(a, title);
		await meet(b, a, transport);
		const unwatch = b.swarm.watch(id);
		await until(() => b.swarm.candidates(id, 0).length === 1);
		const begun = Promise.withResolvers<void>();
		const ask = (first: number, urgent: boolean) =>
			b.swarm.blocks(
				a.id,
				{
					...{ title: id, run: { shard: 0, first, count: 4 } },
					...{ bytes: 4 * BLOCK, blockSize: BLOCK, urgent },
				},
				() => begun.resolve(),
				signal,
			);
		const asked = [ask(0, true), ask(4, true), ask(8, false)];
		const ended = Promise.allSettled(asked);
		await begun.promise;
		a.swarm.leave();
		const { to } = a.traffic;
		for (const end of await ended) {
			t.equal(end.status, "rejected");
			if (end.status === "rejected") t.match(end.reason, { slug: "leaving" });
		}
		await t.rejects(ask(0, true), { message: /leaving/ });
		await t.rejects(b.swarm.manifest(id, signal), NeighbourFailed);
		await until(() => b.swarm.candidates(id, 0).length === 0);
		t.equal(a.traffic.to, to, "nothing was given since");
		t.equal(b.swarm.neighbours.size, 1, "nor is it taken for a liar");

		a.swarm.pacer.rate = 0;
		a.swarm.stay();
		await until(() => b.swarm.candidates(id, 0).length === 1);
		unwatch();
		await fill(b, title);
		t.ok(await has(b, title));
		t.equal(region.origin.sent(), 0);
	});
}

t.test("who comes to a box that leaves is told of nothing", async (t) => {
	const region = await makeRegion(t);
	const a = await region.box("a");
	await hold(a, title);
	a.swarm.leave();
	const b = await region.box("b");
	const told = Promise.withResolvers<void>();
	b.swarm.onNews(() => told.resolve());
	b.swarm.watch(id);
	const neighbour = await meet(b, a, "tcp");
	await told.promise;
	t.notOk(neighbour.inventory?.holdsAny(id));
	a.swarm.stay();
	await until(() => neighbour.inventory?.holdsAny(id) === true);
});

t.test("a box that slept meets its neighbours anew", async (t) => {
	const region = await makeRegion(t);
	const a = await region.box("a");
	const b = await region.box("b");
	await meet(a, b, "tcp");
	const before = await meet(b, a, "tcp");
	const { since } = before.best ?? {};
	a.swarm.redial();
	await until(() => {
		const after = b.swarm.neighbours.get(a.id);
		return after !== undefined && after !== before;
	});
	const after = await meet(b, a, "tcp");
	t.ok((after.best?.since ?? 0) >= (since ?? 0));
});
