import t from "tap";
import { silent } from "../../src/base/log.ts";
import { Attention } from "../../src/headend/control/attention.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { Happenings } from "../control/operator.ts";

const START = 1_000_000;
const boxes = Array.from(
	{ length: 12 },
	(_, i) => i.toString(16).repeat(64) as BoxId,
);
const lost = "f".repeat(64) as BoxId;

t.test("boxes are asked in turn, each once until it answers", async (t) => {
	let watched = false;
	let now = START + 5;
	let hearing: number | undefined;
	let unheard: readonly BoxId[] = [lost];
	const rounds = new Happenings<number>();
	const asked = new Happenings<BoxId>();
	const sinces = new Set<number>();
	const attention = new Attention({
		watched: () => watched,
		hearingSince: () => {
			rounds.add(rounds.all.length);
			return hearing;
		},
		silent: async (since, limit) => {
			sinces.add(since);
			return unheard.slice(0, limit);
		},
		ask: async (box) => asked.add(box),
		log: silent,
		round: 1,
		now: () => now,
	});
	t.teardown(() => attention.close());
	const rest = async () => {
		const from = rounds.all.length;
		await rounds.until((round) => round >= from + 3);
	};

	await rest();
	t.same(asked.all, [], "nobody is asked while the broker is away");
	hearing = START;
	await rest();
	t.same(asked.all, [lost], "nobody looks: who told nothing yet");
	t.same([...sinces], [START], "or not since the headend hears");
	unheard = [];
	await rest();

	watched = true;
	now += 60_000;
	unheard = boxes;
	await asked.until(() => asked.all.length >= 13);
	await rest();
	t.same(asked.all.slice(1), boxes, "each once, in order, and no more");
	t.ok(sinces.has(now - 5000), "somebody looks: who told nothing lately");

	unheard = boxes.slice(0, 1);
	now += 30_001;
	await asked.until(() => asked.all.length >= 14);
	await rest();
	t.same(asked.all.slice(13), boxes.slice(0, 1), "who stays silent, again");

	unheard = [];
	await rest();
	unheard = boxes.slice(0, 1);
	await asked.until(() => asked.all.length >= 15);
	t.equal(asked.all[14], boxes[0], "who has answered may be asked anew");
});
