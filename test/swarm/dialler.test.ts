import { EventEmitter } from "node:events";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { SECOND } from "../../src/base/time.ts";
import type { PrivateDht } from "../../src/swarm/dht.ts";
import { Dialler, MAX_DIALLED } from "../../src/swarm/dialler.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";

/** A dialler whose calls are all answered, at a time that the test says. */
function scene(t: Test) {
	const time = { now: 0 };
	t.intercept(performance, "now", { value: () => time.now });
	const used = new Map<BoxId, number>();
	const dialled: BoxId[] = [];
	const dht = {
		connect(key: Buffer) {
			const box = key.toString("hex") as BoxId;
			dialled.push(box);
			used.set(box, time.now);
			const stream = Object.assign(new EventEmitter(), {
				destroy: () => {
					used.delete(box);
					stream.emit("close");
				},
			});
			return stream;
		},
	};
	const dialler = new Dialler({
		dht: dht as unknown as PrivateDht,
		keyPair: generateKeyPair(),
		isPointless: (box) => used.has(box),
		lastUsed: (box) => used.get(box),
		onStream: () => undefined,
		log: silent,
	});
	let named = 0;
	/** The holders of another shard. */
	const holders = (count = 5) =>
		Array.from(
			{ length: count },
			() => (++named).toString(16).padStart(64, "0") as BoxId,
		);
	return { time, used, dialled, dialler, holders };
}

t.test("of many shards at once each gets a holder", async (t) => {
	const { dialled, dialler, holders } = scene(t);
	const shards = Array.from({ length: 16 }, () => holders());
	for (const boxes of shards) dialler.dial(boxes);
	t.ok(
		shards[0]?.every((box) => dialled.includes(box)),
		"the first all",
	);
	for (const boxes of shards) t.ok(boxes.some((box) => dialled.includes(box)));
	t.ok(dialled.length <= MAX_DIALLED);
});

t.test("one who does not give is not waited for", async (t) => {
	const { time, dialled, dialler, holders } = scene(t);
	for (let i = 0; i < 4; i++) dialler.dial(holders());
	const boxes = holders();
	dialler.dial(boxes);
	dialler.dial(boxes);
	t.equal(boxes.filter((box) => dialled.includes(box)).length, 1);
	time.now = SECOND;
	dialler.dial(boxes);
	t.equal(boxes.filter((box) => dialled.includes(box)).length, 2);
});

t.test("who was dialled for what is over makes room", async (t) => {
	const { time, used, dialled, dialler, holders } = scene(t);
	const shards = Array.from({ length: MAX_DIALLED }, () => holders(1));
	for (const boxes of shards) dialler.dial(boxes);
	t.equal(dialled.length, MAX_DIALLED);
	const wanted = holders();
	const [first] = wanted as [BoxId];
	dialler.dial(wanted);
	t.notOk(dialled.includes(first), "all may be needed yet");

	time.now = 3 * SECOND;
	const [[idle], ...others] = shards as [[BoxId], ...BoxId[][]];
	for (const [box] of others) if (box !== undefined) used.set(box, time.now);
	dialler.dial(wanted);
	t.same(dialled.slice(MAX_DIALLED), [first], "one for the one that was idle");
	t.notOk(used.has(idle), "which was hung up on");
	t.ok(dialler.has(first));
	t.notOk(dialler.has(idle));
});
