// Who gets papers: every case as data.
import t from "tap";
import {
	type Decision,
	decide,
	type NewKey,
	type Wait,
} from "../../../src/headend/enrol/decision.ts";

/** A box as the factory made it, with nothing against it. */
const good: NewKey = {
	key: "new",
	claim: "own",
	live: false,
	contested: false,
	rejected: false,
	auto: true,
	listed: true,
};
const issue: Decision = { is: "issue" };
const wait = (why: Wait): Decision => ({ is: "wait", why });
const refuse = (
	slug: Extract<Decision, { is: "refuse" }>["slug"],
): Decision => ({ is: "refuse", slug });

const cases: readonly [string, Partial<NewKey>, Decision][] = [
	["its own claim, in the inventory", {}, issue],
	["not in the inventory", { listed: false }, wait("not-in-inventory")],
	["no inventory", { auto: false, listed: false }, wait("manual")],
	["a copied claim", { live: true }, wait("serial-live")],
	["two that ask for one serial", { contested: true }, wait("contested")],
	["a claim that many know", { claim: "shared" }, wait("shared-claim")],
	[
		"a claim that many know, for a serial that is taken",
		{ claim: "shared", live: true },
		wait("serial-live"),
	],
	["turned away", { rejected: true }, refuse("rejected")],
	[
		"turned away, for a serial that is taken",
		{ rejected: true, live: true },
		refuse("rejected"),
	],
	["no claim", { claim: "none" }, refuse("bad-claim")],
	[
		"no claim, whatever else",
		{ claim: "none", live: true, contested: true, rejected: true },
		refuse("bad-claim"),
	],
];

for (const [name, over, decision] of cases)
	t.test(name, async (t) => {
		t.same(decide({ ...good, ...over }), decision);
	});

t.test("a key on record needs no claim", async (t) => {
	t.same(decide({ key: "known" }), issue);
	t.same(decide({ key: "revoked" }), refuse("revoked"));
});

t.test("only one case of all is let in without a person", async (t) => {
	const either = [false, true];
	const letIn: NewKey[] = [];
	for (const claim of ["own", "shared", "none"] as const)
		for (const live of either)
			for (const contested of either)
				for (const rejected of either)
					for (const auto of either)
						for (const listed of either) {
							const it: NewKey = {
								...{ key: "new", claim, live, contested, rejected },
								...{ auto, listed },
							};
							if (decide(it).is === "issue") letIn.push(it);
						}
	t.same(letIn, [good]);
});
