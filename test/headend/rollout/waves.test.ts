import { randomBytes } from "node:crypto";
import t from "tap";
import {
	drawOf,
	type Rolled,
	type Rollout,
	standingOf,
	step,
} from "../../../src/headend/rollout/waves.ts";
import type { BoxId } from "../../../src/wire/ids.ts";

const NOW = 1_000_000_000;
const AGAIN = 5 * 60_000;
const rollout: Rollout = {
	...{ version: "0.2.0", seed: "s", waves: [0.1, 0.5, 1], abortAt: 0.25 },
	...{ soak: 1000, state: "running", why: null, wave: 0, settledAt: null },
	countedFrom: 0,
};
const newBox = () => randomBytes(32).toString("hex") as BoxId;
const old = (over: Partial<Rolled> = {}): Rolled => ({
	...{ box: newBox(), online: true, version: "0.1.0", target: "linux-x64" },
	...{ turnedAt: 0, update: null, toldAt: null, outcome: null, endedAt: null },
	...over,
});
const told = (over: Partial<Rolled> = {}) => old({ toldAt: NOW - 1, ...over });
const update = (phase: "fetching" | "trial" | "failed", code?: string) => ({
	...{ version: "0.2.0", phase },
	...(code && { code }),
});
const good = () => told({ version: "0.2.0" });
const failed = () => told({ update: update("failed", "rolled-back") });

t.test("a box is in the same wave whenever it is asked", async (t) => {
	const boxes = Array.from({ length: 20_000 }, newBox);
	const draws = boxes.map((box) => drawOf("seed", box));
	t.same(
		boxes.map((box) => drawOf("seed", box)),
		draws,
	);
	for (const share of [0.01, 0.1, 0.5, 1]) {
		const count = draws.filter((draw) => draw < share).length;
		const off = Math.abs(count / boxes.length - share);
		t.ok(off < 0.02, `${share}: ${count}`);
	}
	const both = boxes.filter(
		(box) => drawOf("seed", box) < 0.1 && drawOf("other", box) < 0.1,
	);
	t.ok(both.length < 400, "another seed begins with others");
});

t.test("how a box stands", async (t) => {
	const cases: [Rolled, ReturnType<typeof standingOf>][] = [
		[old(), "waiting"],
		[told(), "waiting"],
		[told({ update: update("fetching") }), "fetching"],
		[told({ version: "0.2.0", update: update("trial") }), "trial"],
		[good(), "done"],
		[old({ version: "0.10.0" }), "done"],
		[failed(), "failed"],
		[told({ outcome: "failed" }), "failed"],
		[told({ update: { version: "0.1.5", phase: "failed" } }), "waiting"],
	];
	for (const [box, standing] of cases)
		t.equal(standingOf(box, "0.2.0"), standing, JSON.stringify(box));
});

t.test(
	"who is there is told, and told again when nothing happens",
	async (t) => {
		const fresh = old();
		const silent = told({ toldAt: NOW - AGAIN });
		const members = [
			...[fresh, silent, old({ online: false }), told()],
			...[told({ update: update("fetching") }), good(), failed()],
		];
		const { tell } = step({ ...rollout, abortAt: 1 }, members, NOW);
		t.same(tell, [fresh.box, silent.box]);
		for (const state of ["paused", "aborted"] as const)
			t.same(step({ ...rollout, state }, members, NOW).tell, [], state);
	},
);

t.test(
	"a wave goes on when all who are there have been well for long",
	async (t) => {
		const away = old({ online: false });
		const waiting = [
			good(),
			away,
			told({ update: update("trial"), version: "0.2.0" }),
		];
		t.match(step(rollout, waiting, NOW).rollout, { wave: 0, settledAt: null });
		const well = [good(), away, good()];
		const settled = step(rollout, well, NOW).rollout;
		t.match(settled, { wave: 0, settledAt: NOW });
		t.match(step(settled, well, NOW + 999).rollout, { wave: 0 });
		const between = told({ online: false, turnedAt: NOW - 1000 });
		t.match(
			step(rollout, [...well, between], NOW).rollout.settledAt,
			null,
			"one that is just being started again is awaited",
		);
		t.equal(
			step(rollout, [...well, between], NOW + AGAIN).rollout.settledAt,
			NOW + AGAIN,
		);
		const back = [...well, old()];
		t.match(
			step(settled, back, NOW + 1000),
			{
				rollout: { wave: 1, settledAt: null },
				tell: [back[3]?.box],
			},
			"who came back is told, and holds up nobody",
		);
		t.match(step(rollout, [], NOW).rollout, { wave: 1 }, "nobody is in it");
		const last = { ...rollout, wave: 2, settledAt: NOW - 1000 };
		const over = step(last, well, NOW).rollout;
		t.match(over, { state: "done", wave: 2 });
		t.equal(step(over, [...well, old()], NOW).tell.length, 1);
	},
);

t.test("it pauses when too many fail", async (t) => {
	const three = [good(), good(), good()];
	t.match(step(rollout, [...three, failed()], NOW).rollout.state, "running");
	const bad = step(rollout, [...three, failed(), failed(), old()], NOW);
	t.match(bad.rollout, { state: "paused", why: "2 of 5 that answered failed" });
	t.same(bad.tell, []);
	t.match(
		bad.ended.map(({ outcome, code }) => [outcome, code]),
		[
			["done", null],
			["done", null],
			["done", null],
			["failed", "rolled-back"],
			["failed", "rolled-back"],
		],
	);
	const one = { ...rollout, abortAt: 0 };
	t.match(step(one, [failed()], NOW).rollout.state, "paused");
	t.match(
		step({ ...rollout, abortAt: 1 }, [failed()], NOW).rollout.state,
		"running",
	);
	t.match(
		step(one, [old({ update: update("failed") })], NOW).rollout.state,
		"running",
		"it was not told of this one",
	);
});

t.test("whoever has it go on forgives what failed before", async (t) => {
	const was = { outcome: "failed", endedAt: NOW - 10 } as const;
	const members = [told({ ...was }), told({ ...was })];
	t.match(
		step({ ...rollout, countedFrom: NOW }, members, NOW).rollout.state,
		"running",
	);
	t.match(step(rollout, members, NOW).rollout.state, "paused");
	const again = [...members, failed()];
	const resumed = { ...rollout, countedFrom: NOW, state: "running" } as const;
	t.match(step(resumed, again, NOW).rollout.why, "1 of 1 that answered failed");
});
