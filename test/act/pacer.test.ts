import t from "tap";
import { Pacer, type Waiting } from "../../src/act/pacer.ts";

/** Slow enough that nothing passes by itself while a test runs. */
const SLOW = 0.001;

/** A pacer in debt, and the order in which those who wait get through. */
function busy() {
	const pacer = new Pacer(SLOW);
	const passed: string[] = [];
	const wait = (name: string, urgent: boolean, waiting?: Waiting) => {
		const turn = pacer.take(1, urgent, waiting);
		return Promise.resolve(turn).then(
			() => passed.push(name),
			() => passed.push(`${name} left`),
		);
	};
	return { pacer, passed, wait, first: wait("first", false) };
}

t.test("without a limit nobody waits", async (t) => {
	t.equal(new Pacer(0).take(1e9, false), undefined);
});

t.test("one chunk goes at once, however large; the next waits", async (t) => {
	const { pacer, passed, wait, first } = busy();
	await first;
	const second = wait("second", true);
	await new Promise(setImmediate);
	t.same(passed, ["first"]);
	pacer.rate = 0;
	await second;
	t.same(passed, ["first", "second"], "a new limit holds for who waits");
});

t.test("viewers before fill, each in turn", async (t) => {
	const { pacer, passed, wait, first } = busy();
	await first;
	const all = [
		wait("fill 1", false),
		wait("viewer 1", true),
		wait("fill 2", false),
		wait("viewer 2", true),
	];
	pacer.rate = 0;
	await Promise.all(all);
	t.same(passed, ["first", "viewer 1", "viewer 2", "fill 1", "fill 2"]);
});

t.test("who is patient lets others pass", async (t) => {
	const { pacer, passed, wait, first } = busy();
	await first;
	const all = [
		wait("patient", true, { patience: 500 }),
		wait("very patient", true, { patience: 1000 }),
		wait("viewer", true),
		wait("fill", false),
	];
	pacer.rate = 0;
	await Promise.all(all);
	t.same(passed, ["first", "viewer", "patient", "very patient", "fill"]);
});

t.test("who has no room for it holds up nobody", async (t) => {
	const pacer = new Pacer(1e6);
	const passed: string[] = [];
	let room = false;
	const hasRoom = () => room;
	const full = pacer
		.take(1, true, { hasRoom })
		?.then(() => passed.push("full"));
	await pacer.take(1, false)?.then(() => passed.push("fill"));
	room = true;
	pacer.wake();
	await full;
	t.same(passed, ["fill", "full"]);
});

t.test("who leaves takes nothing from the others", async (t) => {
	const { pacer, passed, wait, first } = busy();
	await first;
	const leaving = new AbortController();
	const left = wait("leaver", true, leaving);
	const next = wait("next", true);
	leaving.abort(new Error("gone"));
	await left;
	await wait("late", true, {
		signal: AbortSignal.abort(new Error("gone")),
	});
	pacer.rate = 0;
	await next;
	t.same(passed, ["first", "leaver left", "late left", "next"]);
});
