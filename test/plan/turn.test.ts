import t from "tap";
import { pieceOf, turnOf } from "../../src/plan/turn.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { seeded } from "../fixture.ts";

const BOXES = 15;
const boxes = Array.from(
	{ length: BOXES },
	(_, i) => seeded(`box/${i}`, 32).toString("hex") as BoxId,
);
const title = seeded("title", 32).toString("hex");

t.test("everybody has a turn of its own", async (t) => {
	for (let part = 0; part < 50; part++) {
		const piece = pieceOf(title, 3, part);
		const turns = boxes.map((box) =>
			turnOf(
				box,
				boxes.filter((other) => other !== box),
				piece,
			),
		);
		const sorted = turns.toSorted((a, b) => a - b);
		t.same(sorted, [...boxes.keys()], "all agree on the order");
	}
});

t.test("each comes first about equally often", async (t) => {
	const first = new Map<BoxId, number>();
	for (let part = 0; part < 1500; part++) {
		const piece = pieceOf(title, part % 40, part);
		const lucky = boxes.find(
			(box) =>
				turnOf(
					box,
					boxes.filter((other) => other !== box),
					piece,
				) === 0,
		)!;
		first.set(lucky, (first.get(lucky) ?? 0) + 1);
	}
	for (const box of boxes) {
		const times = first.get(box) ?? 0;
		t.ok(times > 60 && times < 150, `${times} of 100`);
	}
});

t.test("who is alone does not wait", async (t) => {
	t.equal(turnOf(boxes[0]!, [], 1), 0);
});
