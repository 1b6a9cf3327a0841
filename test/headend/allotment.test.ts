import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { Allotment } from "../../src/headend/control/allotment.ts";
import { until } from "../fixture.ts";

function open(t: Test, budget: number) {
	const fleet = { filling: 0 };
	const said: (number | undefined)[] = [];
	const allotment = new Allotment({
		budget,
		filling: async () => fleet.filling,
		onChange: async () => void said.push(allotment.rate),
		log: silent,
		look: 1,
	});
	t.teardown(() => allotment.close());
	return { allotment, fleet, said };
}

t.test("each box's part follows how many fill", async (t) => {
	const { allotment, fleet, said } = open(t, 25e6);
	t.equal(allotment.rate, 25e6);
	fleet.filling = 100;
	allotment.heard();
	await until(() => said.length === 1);
	fleet.filling = 120;
	allotment.heard();
	fleet.filling = 60;
	allotment.heard();
	await until(() => said.length === 2);
	t.same(said, [Math.floor(25e6 / 128), Math.floor(25e6 / 64)]);
});

t.test("who is about to be told counts before he says so", async (t) => {
	const { allotment, fleet, said } = open(t, 25e6);
	await allotment.planned(16);
	t.same(said, [Math.floor(25e6 / 16)]);
	fleet.filling = 3;
	allotment.heard();
	await allotment.planned(2);
	t.equal(said.length, 1, "those that were told have not spoken yet");
});

t.test("without a budget nothing is said", async (t) => {
	const { allotment, fleet, said } = open(t, 0);
	fleet.filling = 100;
	await allotment.planned(16);
	t.equal(allotment.rate, undefined);
	t.same(said, []);
});
