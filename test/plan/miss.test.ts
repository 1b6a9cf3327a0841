import t from "tap";
import { type MissQuestion, missOf } from "../../src/plan/miss.ts";
import type { Miss } from "../../src/wire/quality.ts";

const nobody: MissQuestion = {
	...{ held: false, failures: [], placed: 0, connected: 0 },
};
const cases: readonly [string, Partial<MissQuestion>, Miss][] = [
	["nobody is to hold it", {}, "not-placed"],
	[
		"those who are to hold it are there, and have not fetched it",
		{ placed: 2, connected: 2 },
		"not-placed",
	],
	["all of them are away", { placed: 3 }, "holder-offline"],
	["one of them is", { placed: 3, connected: 2 }, "holder-offline"],
	["one went while it gave", { failures: ["gone"] }, "holder-offline"],
	["a household is busy", { failures: ["busy"] }, "holder-busy"],
	[
		"one is busy, others are away",
		{ failures: ["busy", "gone"], placed: 3, connected: 1 },
		"holder-busy",
	],
	["one sleeps soon", { failures: ["leaving"] }, "holder-busy"],
	["one is there, and was not in time", { held: true }, "too-slow"],
	[
		"one is there besides those that are busy",
		{ held: true, failures: ["busy"], placed: 2, connected: 2 },
		"too-slow",
	],
	["one was silent", { failures: ["timeout"] }, "too-slow"],
	["one could not read it", { failures: ["disk"] }, "disk"],
	[
		"one lied",
		{ held: true, failures: ["busy", "wrong-block"], placed: 5 },
		"verification-failed",
	],
	["one kept its leaves", { failures: ["no-leaves"] }, "verification-failed"],
];
for (const [name, question, cause] of cases)
	t.test(name, async (t) => t.equal(missOf({ ...nobody, ...question }), cause));
