import t from "tap";
import { Flow } from "../../src/agent/flow.ts";
import { SECOND } from "../../src/base/time.ts";

function newFlow() {
	const counters = { fromNeighbours: 0, fromOrigin: 0, toNeighbours: 0 };
	return { flow: new Flow(counters), counters };
}

t.test("a steady stream is as fast as it is, whenever one looks", async (t) => {
	const { flow, counters } = newFlow();
	let most = 0;
	for (let now = 0; now < 60 * SECOND; now += 100) {
		flow.moved("fromNeighbours", 300, now);
		flow.moved("fromOrigin", 100, now);
		flow.moved("toNeighbours", 50, now);
		if (now < 6 * SECOND) continue;
		const { down, up, origin } = flow.rates(now + 100);
		const off = [down / 4000, up / 500, origin / 1000].map((share) =>
			Math.abs(share - 1),
		);
		most = Math.max(most, ...off);
	}
	t.ok(most < 0.03, `${most} off`);
	t.same(counters, {
		fromNeighbours: 180_000,
		fromOrigin: 60_000,
		toNeighbours: 30_000,
	});
});

t.test(
	"what has stopped is soon 0, and long pauses leave nothing",
	async (t) => {
		const { flow } = newFlow();
		t.same(flow.rates(0), { down: 0, up: 0, origin: 0 });
		flow.moved("fromOrigin", 6000, 500);
		t.ok(flow.rates(900).origin > 0);
		t.ok(flow.rates(5000).origin >= 1000);
		t.same(flow.rates(6000), { down: 0, up: 0, origin: 0 });
		flow.moved("toNeighbours", 6000, 1e9);
		t.match(flow.rates(1e9), { down: 0, origin: 0 });
		t.ok(flow.rates(1e9).up > 0);
	},
);
