import t from "tap";
import { NeighbourFailed } from "../../src/act/ports.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { fill, has, makeRegion, meet, watch } from "./region.ts";

const BLOCK = 65_536;
const title = makeTitle(16 * BLOCK, BLOCK, 16);
const { id } = title;
const { signal } = new AbortController();

for (const transport of ["tcp", "udx"] as const) {
	t.test(
		`a box whose household needs the uplink, over ${transport}`,
		async (t) => {
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
			const ended = Promise.allSettled([
				ask(0, true),
				ask(4, true),
				ask(8, false),
			]);
			await begun.promise;
			a.swarm.give("none");
			const { to } = a.traffic;
			for (const end of await ended) {
				t.equal(end.status, "rejected");
				if (end.status === "rejected") t.match(end.reason, { slug: "busy" });
			}
			await t.rejects(ask(0, true), { message: /busy/ });
			await t.rejects(b.swarm.manifest(id, signal), NeighbourFailed);
			t.same(b.swarm.candidates(id, 0), [], "it is left alone for a while");
			t.equal(a.traffic.to, to, "nothing was given since");
			t.equal(b.swarm.neighbours.size, 1, "nor is it taken for a liar");

			await until(() => b.swarm.candidates(id, 0).length === 1);
			t.match(
				b.swarm.candidates(id, 0),
				[{ window: 0 }],
				"one request shows it",
			);
			a.swarm.give(0);
			unwatch();
			await fill(b, title);
			t.ok(await has(b, title));
			t.equal(region.origin.sent(), 0);
		},
	);
}

t.test("a viewer goes on with who else has it", async (t) => {
	const region = await makeRegion(t, title);
	const a = await region.box("a", { up: 2 * BLOCK });
	const c = await region.box("c", { up: 4 * BLOCK });
	const b = await region.box("b", { titles: [title] });
	await hold(a, title);
	await hold(c, title);
	await meet(b, a, "tcp");
	await meet(b, c, "tcp");
	const wanted = Promise.withResolvers<void>();
	a.swarm.onWanted(() => wanted.resolve());
	const watching = watch(b, title);
	await wanted.promise;
	a.swarm.give("none");
	const { to } = a.traffic;
	const seen = await watching;
	t.ok(seen.equals(title.plaintext));
	t.equal(a.traffic.to, to);
	t.ok(c.traffic.to > to);
});

t.test(
	"what is under way at a stop is small, however large the blocks",
	async (t) => {
		const region = await makeRegion(t);
		const a = await region.box("a", { up: BLOCK });
		const b = await region.box("b");
		await hold(a, title);
		await meet(b, a, "tcp");
		const asked = b.swarm.blocks(
			a.id,
			{
				...{ title: id, run: { shard: 0, first: 0, count: 4 } },
				...{ bytes: 4 * BLOCK, blockSize: BLOCK, urgent: true },
			},
			() => undefined,
			signal,
		);
		const ended = t.rejects(asked, { message: /busy/ });
		await until(() => a.traffic.to > 0);
		a.swarm.give("none");
		await ended;
		t.ok(a.traffic.to < BLOCK / 2, `${a.traffic.to} B`);
	},
);
