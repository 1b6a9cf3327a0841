import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Pacer } from "../../src/act/pacer.ts";
import { SECOND } from "../../src/base/time.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { Underway } from "../../src/swarm/underway.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { fill, makeRegion, meet } from "./region.ts";

const { signal } = new AbortController();

/** The uplink's side alone: what it marked, and room as it asks for it. */
function open(rate: number) {
	const marked: number[] = [];
	const send = (number: number) => marked.push(number) > 0;
	const pacer = new Pacer(rate);
	return { underway: new Underway({ send }, pacer), pacer, marked };
}

t.test("no more is underway than the way holds and a little", async (t) => {
	const { underway, marked } = open(100 * KiB);
	underway.add(4 * KiB);
	await underway.room(signal);
	t.ok(underway.reach(1), "a neighbour that knows marks");
	let chunks = 0;
	const adding = (async () => {
		for (; chunks < 20; chunks++) {
			await underway.room(signal);
			underway.add(4 * KiB);
		}
	})();
	await sleep(0.2 * SECOND);
	t.ok(
		chunks >= 3 && chunks < 6,
		`${chunks} chunks of 40 ms in a tenth of 1 s`,
	);
	const before = chunks;
	underway.reach(marked[2] ?? 0);
	await sleep(1);
	t.equal(chunks, before + 2, "as many more as have come");
	while (chunks < 20) {
		underway.reach(marked.at(-1) ?? 0);
		await sleep(1);
	}
	await adding;
});

t.test("a neighbour that knows no marks is served as ever", async (t) => {
	const { underway, marked } = open(100 * KiB);
	for (let i = 0; i < 1000; i++) {
		await underway.room(signal);
		underway.add(MiB);
	}
	t.equal(marked.length, 16, "and is told of few");
});

t.test("without a limit nothing is marked", async (t) => {
	const { underway, marked } = open(0);
	underway.add(MiB);
	await underway.room(signal);
	t.same(marked, []);
});

t.test("who says that it has come to what was never sent", async (t) => {
	const { underway } = open(MiB);
	t.notOk(underway.reach(1));
	underway.add(KiB);
	t.ok(underway.reach(1));
	t.notOk(underway.reach(1), "nor twice");
});

t.test(
	"who is stuck leaves its share to others, and may be let go",
	async (t) => {
		const { underway, pacer } = open(KiB);
		pacer.sharers = 2;
		underway.add(KiB);
		underway.reach(1);
		underway.add(MiB);
		const gone = new AbortController();
		const waiting = underway.room(gone.signal);
		t.equal(pacer.share, KiB / 2);
		await until(() => pacer.share === KiB);
		gone.abort();
		await t.rejects(waiting);
		t.equal(pacer.sharers, 2);
	},
);

for (const transport of ["tcp", "udx"] as const)
	t.test(
		`what is not read is not handed over, over ${transport}`,
		async (t) => {
			const title = makeTitle(4 * MiB, 64 * KiB, 64);
			const region = await makeRegion(t);
			const tcp = transport === "tcp";
			const a = await region.box("a", { tcp, up: MiB });
			const b = await region.box("b", { tcp });
			await hold(a, title);
			await meet(b, a, transport);
			const filling = fill(b, title);
			await until(() => a.traffic.to > 512 * KiB);
			const { bulk, wires } = b.swarm.neighbours.get(a.id) ?? {};
			const stream = (bulk ?? wires?.[0]?.link)?.stream;
			stream?.pause();
			const before = a.traffic.to;
			await sleep(SECOND);
			const handed = a.traffic.to - before;
			t.ok(handed < 384 * KiB, `${handed} B in a second of 1 MiB`);
			stream?.resume();
			await filling;
		},
	);
