import { PassThrough } from "node:stream";
import t from "tap";
import {
	MAX_WAITING,
	MAX_WAITING_PER_ADDRESS,
	Porch,
} from "../../src/swarm/porch.ts";

/** A porch, and the names of those who were dropped, in order. */
function scene() {
	const porch = new Porch();
	const dropped: string[] = [];
	const come = (name: string, address: string) => {
		const raw = new PassThrough();
		porch.enter(raw, address, () => dropped.push(name));
		return raw;
	};
	return { porch, dropped, come };
}

t.test("the oldest of a crowded address makes room", async (t) => {
	const { dropped, come, porch } = scene();
	come("other", "b");
	const crowd = Array.from({ length: MAX_WAITING_PER_ADDRESS }, (_, n) =>
		come(`${n}`, "a"),
	);
	t.same(dropped, []);
	come("one more", "a");
	come("two more", "a");
	t.same(dropped, ["0", "1"]);
	porch.leave(crowd[2]!);
	come("three more", "a");
	t.same(dropped, ["0", "1"], "who was let in takes no place");
});

t.test("many addresses crowd each other, not the lonely one", async (t) => {
	const { dropped, come } = scene();
	come("lonely", "lonely");
	for (let n = 0; n < 2 * MAX_WAITING; n++) come(`${n}`, `crowd ${n % 8}`);
	t.equal(dropped.length, MAX_WAITING + 1);
	t.notOk(dropped.includes("lonely"));
});

t.test(
	"a closed connection takes no place, one that came further no second",
	async (t) => {
		const { dropped, come, porch } = scene();
		const raws = Array.from({ length: MAX_WAITING_PER_ADDRESS }, (_, n) =>
			come(`${n}`, "a"),
		);
		porch.enter(raws[0]!, "a", () => dropped.push("0, further on"));
		t.same(dropped, []);
		const closed = new Promise((resolve) => raws[1]!.once("close", resolve));
		raws[1]!.destroy();
		await closed;
		come("in its place", "a");
		t.same(dropped, []);
		come("one more", "a");
		t.same(dropped, ["0, further on"]);
	},
);
