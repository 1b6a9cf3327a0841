import t from "tap";
import { bad, good } from "../../../src/base/result.ts";
import { DAY, HOUR } from "../../../src/base/time.ts";
import {
	type Asking,
	judge,
	judgeAnswer,
	type Verdict,
} from "../../../src/headend/entitlement/policy.ts";

const NOW = 1000 * DAY;
const GRACE = 72 * HOUR;

function asking(over: Partial<Asking> = {}): Asking {
	return {
		now: NOW,
		lease: DAY,
		title: { kind: "title" },
		rule: undefined,
		...over,
	};
}

const DAY_LONG: Verdict = { kind: "lease", until: NOW + DAY };
const denied = (reason = "not-entitled"): Verdict => ({
	kind: "denied",
	reason,
});

const CASES: readonly [
	what: string,
	mode: "all" | "list" | "callback",
	over: Partial<Asking>,
	verdict: Verdict | undefined,
][] = [
	["all, without a rule", "all", {}, DAY_LONG],
	["all, denied", "all", { rule: "deny" }, denied()],
	["the list, not on it", "list", {}, denied()],
	[
		"a release, whatever is said",
		"list",
		{ title: { kind: "release" }, rule: "deny" },
		DAY_LONG,
	],
	["the list, on it", "list", { rule: "allow" }, DAY_LONG],
	["the callback is to say", "callback", {}, undefined],
	["a rule before the callback", "callback", { rule: "allow" }, DAY_LONG],
	["a denial before the callback", "callback", { rule: "deny" }, denied()],
	[
		"not available any more",
		"all",
		{ title: { kind: "title", availableUntil: NOW }, rule: "allow" },
		denied("no-longer-available"),
	],
	[
		"not available yet",
		"callback",
		{ title: { kind: "title", availableFrom: NOW + 1 } },
		denied("not-yet-available"),
	],
	[
		"available for an hour more",
		"all",
		{
			title: { kind: "title", availableFrom: NOW, availableUntil: NOW + HOUR },
		},
		{ kind: "lease", until: NOW + HOUR },
	],
];

for (const [what, mode, over, verdict] of CASES)
	t.test(what, async (t) => t.same(judge(asking(over), mode), verdict));

t.test("what the callback says", async (t) => {
	const say = (answer: Parameters<typeof judgeAnswer>[1], before?: number) =>
		judgeAnswer(asking(), answer, before, GRACE);
	const allowed = NOW + GRACE;
	t.same(say(good({ allow: true })), { ...DAY_LONG, allowed });
	t.same(
		say(good({ allow: true, until: NOW + HOUR })),
		{ kind: "lease", until: NOW + HOUR, allowed: NOW + HOUR },
		"no lease goes beyond what it says",
	);
	t.same(say(good({ allow: true, until: NOW })), denied());
	t.same(say(good({ allow: false })), denied());
	t.same(say(good({ allow: false, reason: "unpaid" })), denied("unpaid"));

	const failed = bad("callback-failed");
	const unknown = { kind: "undecided", reason: "entitlement-unknown" };
	t.same(say(failed), unknown, "nobody new");
	t.same(say(failed, NOW), unknown, "nor after the grace");
	t.same(say(failed, NOW + 2 * DAY), DAY_LONG, "what it allowed before");
	t.same(say(failed, NOW + HOUR), { kind: "lease", until: NOW + HOUR });
});
