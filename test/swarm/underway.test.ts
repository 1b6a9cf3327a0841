import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { Pacer } from "../../src/act/pacer.ts";
import { SECOND } from "../../src/base/time.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { Underway } from "../../src/swarm/underway.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { fill, makeRegion, meet } from "./region.ts";

/** What one neighbour is handed, and what it was told of it. */
function open(pacer: Pacer) {
	const marked: number[] = [];
	const send = (number: number) => marked.push(number) > 0;
	return { underway: new Underway({ send }, pacer), marked };
}

t.test("no more is underway than the way holds and a little", async (t) => {
	const pacer = new Pacer(100 * KiB);
	const { underway, marked } = open(pacer);
	let chunks = 0;
	const hand = () => {
		for (; underway.hasRoom(); chunks++) underway.add(4 * KiB);
	};
	hand();
	t.equal(chunks, 3, "of 40 ms each, in a tenth of a second");
	t.ok(underway.reach(marked[1] ?? 0));
	hand();
	t.equal(chunks, 5, "as many more as have come");
	t.equal(pacer.afloat, 3 * 4 * KiB);
	underway.close();
	t.equal(pacer.afloat, 0);
});

t.test("all neighbours have the way together", async (t) => {
	const pacer = new Pacer(100 * KiB);
	const [a, b] = [open(pacer), open(pacer)];
	while (a.underway.hasRoom()) a.underway.add(4 * KiB);
	t.notOk(b.underway.hasRoom());
	a.underway.reach(a.marked.at(-1) ?? 0);
	t.ok(b.underway.hasRoom());
});

t.test("a neighbour that knows no marks is served as ever", async (t) => {
	const pacer = new Pacer(100 * KiB);
	const { underway, marked } = open(pacer);
	for (let i = 0; i < 1000; i++) underway.add(KiB);
	t.equal(marked.length, 16, "and is told of few");
	await until(() => underway.hasRoom());
	underway.add(MiB);
	t.ok(underway.hasRoom());
});

t.test("without a limit nothing is marked", async (t) => {
	const { underway, marked } = open(new Pacer(0));
	underway.add(MiB);
	t.same(marked, []);
});

t.test("who says that it has come to what was never sent", async (t) => {
	const { underway } = open(new Pacer(MiB));
	t.notOk(underway.reach(1));
	underway.add(KiB);
	t.ok(underway.reach(1));
	t.notOk(underway.reach(1), "nor twice");
});

t.test(
	"who is stuck keeps nothing from others, and gets no more",
	async (t) => {
		const pacer = new Pacer(MiB);
		const [stuck, other] = [open(pacer), open(pacer)];
		stuck.underway.add(KiB);
		stuck.underway.reach(1);
		stuck.underway.add(MiB);
		t.notOk(other.underway.hasRoom());
		await until(() => other.underway.hasRoom());
		t.notOk(stuck.underway.hasRoom());
		t.equal(pacer.afloat, 0);
		stuck.underway.reach(2);
		t.ok(stuck.underway.hasRoom());
		stuck.underway.add(KiB);
		t.equal(pacer.afloat, KiB);
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
