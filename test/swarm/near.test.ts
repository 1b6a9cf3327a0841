import { randomBytes } from "node:crypto";
import t from "tap";
import { FAR, type Groups } from "../../src/wire/near.ts";
import { until } from "../fixture.ts";
import { makeRegion, meet } from "./region.ts";

const [street, node] = ["street", "node"].map(() =>
	randomBytes(16).toString("hex"),
) as [string, string];

t.test("neighbours know how near they are, and no more", async (t) => {
	const region = await makeRegion(t);
	const places: Record<string, Groups> = {
		a: [street, node],
		b: [street, node],
		c: [randomBytes(16).toString("hex"), node],
		elsewhere: [],
	};
	const box = (name: string) =>
		region.box(name, { membership: { near: () => places[name] ?? [] } });
	const a = await box("a");
	const b = await box("b");
	const c = await box("c");
	// As one of an earlier version is.
	const elsewhere = await box("elsewhere");
	for (const other of [b, c, elsewhere]) {
		await meet(a, other);
		await meet(other, a);
	}
	t.equal(a.swarm.level(b.id), 0);
	t.equal(b.swarm.level(a.id), 0);
	t.equal(a.swarm.level(c.id), 1);
	t.equal(c.swarm.level(a.id), 1);
	t.equal(a.swarm.level(elsewhere.id), FAR);
	t.equal(elsewhere.swarm.level(a.id), FAR);
	t.equal(a.swarm.level(a.id), FAR, "itself is no neighbour");

	await t.test("it moves, and all see it", async (t) => {
		places["c"] = [street, node];
		c.swarm.renewed();
		t.equal(c.swarm.level(a.id), 0, "it knows at once");
		await until(() => a.swarm.level(c.id) === 0);
		places["c"] = [];
		c.swarm.renewed();
		await until(() => a.swarm.level(c.id) === FAR);
		t.equal(c.swarm.level(a.id), FAR);
	});
});
