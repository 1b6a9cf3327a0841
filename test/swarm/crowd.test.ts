import t from "tap";
import { Crowd } from "../../src/swarm/crowd.ts";

const MOST = 32;
const MOST_OF_ONE = 8;

/** A crowd, and the names of those who were dropped, in order. */
function scene() {
	const crowd = new Crowd(MOST, MOST_OF_ONE);
	const dropped: string[] = [];
	const come = (name: string, address: string, load?: number) => {
		const who = {};
		crowd.enter(who, address, () => dropped.push(name), load);
		return who;
	};
	return { crowd, dropped, come };
}

t.test("the oldest of a crowded address makes room", async (t) => {
	const { dropped, come, crowd } = scene();
	come("other", "b");
	const many = Array.from({ length: MOST_OF_ONE }, (_, n) => come(`${n}`, "a"));
	t.same(dropped, []);
	come("one more", "a");
	come("two more", "a");
	t.same(dropped, ["0", "1"]);
	crowd.leave(many[2]!);
	come("three more", "a");
	t.same(dropped, ["0", "1"], "who left takes no place");
});

t.test("many addresses crowd each other, not the lonely one", async (t) => {
	const { dropped, come } = scene();
	come("lonely", "lonely");
	for (let n = 0; n < 2 * MOST; n++) come(`${n}`, `crowd ${n % 8}`);
	t.equal(dropped.length, MOST + 1);
	t.notOk(dropped.includes("lonely"));
});

t.test("one that came further takes no second place", async (t) => {
	const { dropped, come, crowd } = scene();
	const many = Array.from({ length: MOST_OF_ONE }, (_, n) => come(`${n}`, "a"));
	crowd.enter(many[0]!, "a", () => dropped.push("0, further on"));
	t.same(dropped, []);
	come("one more", "a");
	t.same(dropped, ["0, further on"]);
});

t.test("who takes much makes room for it, itself at last", async (t) => {
	const { dropped, come } = scene();
	for (let n = 0; n < 4; n++) come(`${n}`, "a", 2);
	come("three", "a", 3);
	t.same(dropped, ["0", "1"]);
	come("far too much", "b", MOST_OF_ONE + 1);
	t.same(dropped, ["0", "1", "far too much"]);
});
