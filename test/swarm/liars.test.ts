import t from "tap";
import { MiB } from "../../src/base/units.ts";
import type { Shelf } from "../../src/swarm/upload.ts";
import { seal } from "../../src/wire/envelope.ts";
import { networkOf } from "../../src/wire/ids.ts";
import { encodeRanges } from "../../src/wire/ranges.ts";
import { hold, makeOperator, makeTitle, put, until } from "../fixture.ts";
import { fill, has, makeRegion, meet, watch } from "./region.ts";

t.setTimeout(120_000);

const title = makeTitle(MiB, 16_384, 16);
const { id } = title;

function flipped(bytes: Buffer): Buffer {
	const wrong = Buffer.from(bytes);
	wrong[wrong.length >> 1]! ^= 1;
	return wrong;
}

const LIES: Record<string, (honest: Shelf) => Partial<Shelf>> = {
	"a wrong block": (honest) => ({
		async blocks(...asked) {
			const answer = await honest.blocks(...asked);
			return answer && { ...answer, bytes: flipped(answer.bytes) };
		},
	}),
	"wrong leaves": (honest) => ({
		async leaves(...asked) {
			const leaves = await honest.leaves(...asked);
			return leaves && flipped(leaves);
		},
	}),
	"too few bytes": (honest) => ({
		async blocks(...asked) {
			const answer = await honest.blocks(...asked);
			return answer && { ...answer, bytes: answer.bytes.subarray(1) };
		},
	}),
};

for (const transport of ["tcp", "udx"] as const) {
	const tcp = transport === "tcp";
	for (const [lie, shelf] of Object.entries(LIES)) {
		t.test(`${lie} over ${transport}: cut off and kept away`, async (t) => {
			const region = await makeRegion(t, title);
			const liar = await region.box("liar", { tcp, shelf });
			const box = await region.box("box", { tcp });
			await hold(liar, title);
			await meet(box, liar, transport);
			const unwatch = box.swarm.watch(id);
			await until(() => box.swarm.candidates(id, 3).length > 0);
			// Once the liar is gone the origin helps out.
			const filling = fill(box, title, true);
			await until(() => !box.swarm.neighbours.has(liar.id));
			await filling;
			unwatch();
			t.ok(await has(box, title), "whole, and every block right");
			await until(() => (box.swarm.refusals.get("exiled") ?? 0) > 0);
			t.notOk(box.swarm.neighbours.has(liar.id));
			box.swarm.dial([liar.id]);
			t.notOk(box.swarm.isConnected(liar.id), "not dialled either");
		});
	}
}

t.test("a wrong manifest is not taken, and the next is asked", async (t) => {
	const region = await makeRegion(t);
	const liar = await region.box("liar", {
		shelf: () => ({ manifest: async () => flipped(title.manifestBytes) }),
	});
	const honest = await region.box("honest");
	const box = await region.box("box");
	await put(honest.store, title, 0);
	await put(liar.store, title, 0);
	await Promise.all([meet(box, liar), meet(box, honest)]);
	const { signal } = new AbortController();
	// Whoever is asked first; once the honest one is gone too nobody is left.
	t.same(await box.swarm.manifest(id, signal), title.manifestBytes);
	box.swarm.expel(honest.id, "so that only the liar is left");
	await until(() => !box.swarm.neighbours.has(honest.id));
	await t.rejects(box.swarm.manifest(id, signal), {
		message: /not-held/,
	});
	await until(() => !box.swarm.neighbours.has(liar.id));
	t.equal(box.swarm.neighbours.size, 0);
});

t.test("a liar's holder table hides no other", async (t) => {
	const region = await makeRegion(t);
	const { operator } = region;
	const table = (of: string, signer = operator.signer("placement")) =>
		seal(signer, {
			...{ network: networkOf(operator.root.publicKey), title: of },
			...{ region: operator.region, epoch: 1, version: 1 },
			...{ boxes: [], shards: [] },
		});
	const lies: Record<string, Buffer> = {
		nonsense: Buffer.from("["),
		"another title's": table("00".repeat(32)),
		"another operator's": table(id, makeOperator().signer("placement")),
		"another purpose's": table(id, operator.signer("catalog")),
	};
	const good = table(id);
	const liars = await Promise.all(
		Object.entries(lies).map(([name, lie]) =>
			region.box(name, { shelf: () => ({ holders: async () => lie }) }),
		),
	);
	const box = await region.box("box");
	for (const liar of liars) await meet(box, liar);
	const { signal } = new AbortController();
	await t.rejects(box.swarm.holders(id, signal), { message: /not-held/ });
	const honest = await region.box("honest", {
		shelf: () => ({ holders: async () => good }),
	});
	await meet(box, honest);
	t.ok((await box.swarm.holders(id, signal)).equals(good));
	t.equal(
		box.swarm.neighbours.size,
		5,
		"who is behind with the keys is no liar",
	);
});

const WITHHOLDING: Record<string, Partial<Shelf>> = {
	"refuses leaves": { leaves: async () => undefined },
	"is silent about leaves": { leaves: () => new Promise(() => undefined) },
	"is silent about blocks": { blocks: () => new Promise(() => undefined) },
};
for (const [what, shelf] of Object.entries(WITHHOLDING)) {
	t.test(`the only holder ${what}: the origin helps out`, async (t) => {
		const region = await makeRegion(t, title);
		const holder = await region.box("holder", { shelf: () => shelf });
		await hold(holder, title);
		const viewer = await region.box("viewer", { titles: [title] });
		const filler = await region.box("filler");
		await Promise.all([meet(viewer, holder), meet(filler, holder)]);
		const watched = watch(viewer, title);
		filler.reconciler.place([
			{ id, ranks: [{ rank: 0, shards: encodeRanges([0, 1, 2, 3]) }] },
		]);
		t.ok((await watched).equals(title.plaintext), "the film plays");
		await until(() => filler.progress()?.plan.phase === "applied");
		t.ok(await has(filler, title), "the placement is filled");
		t.equal(viewer.traffic.wrong + filler.traffic.wrong, 0);
	});
}

t.test("a holder that stays silent is cut off", async (t) => {
	const region = await makeRegion(t, title);
	const shelf = () => ({ blocks: () => new Promise<never>(() => undefined) });
	const mute = await region.box("mute", { shelf });
	await hold(mute, title);
	const box = await region.box("box");
	await meet(box, mute);
	const { signal } = new AbortController();
	const place = { title: id, shard: 0, manifest: title.manifest };
	await box.store.putManifest(id, title.manifestBytes);
	const unwatch = box.swarm.watch(id);
	while (box.swarm.neighbours.has(mute.id))
		t.equal(await box.fetcher.fill(place, false, signal), false);
	unwatch();
	box.swarm.dial([mute.id]);
	t.notOk(box.swarm.isConnected(mute.id), "and stays away for a while");
});

t.test("silence costs a wait, then others give", async (t) => {
	const region = await makeRegion(t);
	const silent = await region.box("silent", {
		shelf: () => ({ blocks: () => new Promise(() => undefined) }),
	});
	await hold(silent, title);
	const honest = await region.box("honest");
	await hold(honest, title);
	const box = await region.box("box");
	await Promise.all([meet(box, silent), meet(box, honest)]);
	await fill(box, title);
	t.ok(await has(box, title));
	t.equal(region.origin.sent(), 0);
	t.ok(box.swarm.neighbours.has(silent.id), "who is slow is no liar");
});
