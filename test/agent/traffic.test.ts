import t from "tap";
import { Traffic } from "../../src/agent/traffic.ts";
import { MiB } from "../../src/base/units.ts";

/** Bytes a second: the next MiB comes in twelve days. */
const CRAWL = 1;
const FREE = { up: 0, down: 0, origin: 0 };
const { signal } = new AbortController();
/** Whoever may pass has passed after it. */
const turn = () => new Promise(setImmediate);

type From = "origin" | "neighbour";

/** Asks for a MiB at a time, and keeps the order in which they were let in. */
function ask(traffic: Traffic) {
	const passed: string[] = [];
	const take = (name: string, from: From, urgent = false, stop = signal) => {
		const may = traffic.take(from, MiB, urgent ? "viewer" : "ahead", stop);
		return Promise.resolve(may).then(() => passed.push(name));
	};
	return { passed, take };
}

t.test("without limits nothing waits", async (t) => {
	const traffic = new Traffic(FREE);
	t.equal(traffic.take("origin", MiB, "fill", signal), undefined);
	t.equal(traffic.take("neighbour", MiB, "fill", signal), undefined);
});

const LIMITS = {
	"what comes in, from wherever": { down: CRAWL, origin: 0 },
	"what comes over the trunk": { down: 0, origin: CRAWL },
};

for (const [what, limits] of Object.entries(LIMITS)) {
	t.test(
		`${what}: a limit that is lifted lets in who waits, viewers first`,
		async (t) => {
			const traffic = new Traffic({ up: 0, ...limits });
			const { passed, take } = ask(traffic);
			await take("first", "origin");
			const waiting = Promise.all([
				take("fill", "origin"),
				take("more fill", "origin"),
				take("viewer", "origin", true),
			]);
			await turn();
			t.same(passed, ["first"]);
			traffic.change(FREE);
			await waiting;
			t.same(passed, ["first", "viewer", "fill", "more fill"]);
		},
	);
}

t.test("what fill may bring holds for fill alone", async (t) => {
	const traffic = new Traffic(FREE);
	const hour = { trunk: CRAWL, neighbours: CRAWL, up: 5 };
	traffic.allow(hour);
	const fill = (from: From) =>
		Promise.resolve(traffic.take(from, MiB, "fill", signal));
	for (const from of ["origin", "neighbour"] as const) {
		let passed = false;
		await fill(from);
		const second = fill(from).then(() => {
			passed = true;
		});
		for (const purpose of ["ahead", "viewer"] as const)
			t.equal(traffic.take(from, MiB, purpose, signal), undefined);
		await turn();
		t.notOk(passed, "it waits");
		traffic.allow({ trunk: 0, neighbours: 0, up: 0 });
		await second;
		traffic.allow(hour);
	}
	t.equal(traffic.up, 5);
	traffic.change({ ...FREE, up: 3 });
	t.equal(traffic.up, 3, "the lower of two");
	traffic.allow({ trunk: null, neighbours: null, up: 0 });
	t.equal(traffic.up, 3, "where one has no limit, the other");
});

t.test("a limit that is raised counts for who waits already", async (t) => {
	const traffic = new Traffic({ ...FREE, down: CRAWL });
	const { take } = ask(traffic);
	await take("first", "neighbour");
	const second = take("second", "neighbour");
	traffic.change({ ...FREE, down: 1000 * MiB });
	await t.resolves(second);
});

t.test("a limit that is set counts from then on", async (t) => {
	const traffic = new Traffic(FREE);
	const { passed, take } = ask(traffic);
	await take("free", "neighbour");
	traffic.change({ ...FREE, down: CRAWL });
	await take("first", "neighbour");
	const waiting = take("second", "neighbour");
	await turn();
	t.same(passed, ["free", "first"]);
	traffic.change(FREE);
	await waiting;
});

t.test("the trunk's limit is none of the neighbours' business", async (t) => {
	const traffic = new Traffic({ ...FREE, origin: CRAWL });
	const { passed, take } = ask(traffic);
	await take("over the trunk", "origin");
	const waiting = take("more of it", "origin");
	t.equal(traffic.take("neighbour", MiB, "fill", signal), undefined);
	await turn();
	t.same(passed, ["over the trunk"]);
	traffic.change(FREE);
	await waiting;
});

t.test("who goes away takes nothing of the others", async (t) => {
	const traffic = new Traffic({ ...FREE, down: CRAWL });
	const { passed, take } = ask(traffic);
	await take("first", "neighbour");
	const stop = new AbortController();
	const left = take("left", "neighbour", true, stop.signal);
	const stayed = take("stayed", "neighbour");
	stop.abort(new Error("the player left"));
	await t.rejects(left, { message: "the player left" });
	traffic.change(FREE);
	await stayed;
	t.same(passed, ["first", "stayed"]);
});
