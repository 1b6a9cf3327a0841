import t from "tap";
import { MiB } from "../../src/base/units.ts";
import { hold, makeTitle } from "../fixture.ts";
import { fill, has, makeRegion, meet } from "./region.ts";

t.setTimeout(120_000);

/** Four shards; the last block is short. */
const title = makeTitle(3 * 1024 * 1024 + 4321, 65_536, 16);
const { id, manifest } = title;

for (const transport of ["tcp", "udx"] as const) {
	t.test(`a title goes from box to box over ${transport}`, async (t) => {
		const region = await makeRegion(t);
		const tcp = transport === "tcp";
		const a = await region.box("a", { tcp });
		const b = await region.box("b", { tcp });
		await hold(a, title);
		const link = await meet(b, a, transport);
		const got = await b.swarm.manifest(id, new AbortController().signal);
		t.same(got, title.manifestBytes);
		await fill(b, title);
		t.ok(await has(b, title));
		t.ok(b.traffic.from > manifest.size);
		t.equal(b.traffic.from, a.traffic.to);
		t.equal(link.received, b.traffic.from);
		t.equal(region.origin.sent(), 0);
		t.equal(b.traffic.wrong, 0);
	});
}

/** In the largest blocks that there are. */
const large = makeTitle(3 * MiB + 4321, MiB, 2);

for (const up of [0, 100e6]) {
	t.test(`blocks longer than any frame, at ${up} bytes/s`, async (t) => {
		const region = await makeRegion(t);
		const a = await region.box("a", { up });
		const b = await region.box("b");
		await hold(a, large);
		await meet(b, a, "tcp");
		await fill(b, large);
		t.ok(await has(b, large));
		t.equal(b.swarm.neighbours.get(a.id)?.best?.transport, "tcp");
		t.equal(region.origin.sent(), 0);
	});
}
