import t from "tap";
import { figuresOf } from "../../scripts/bench/exchange/contestant.ts";
import { summarize } from "../../scripts/bench/exchange/report.ts";
import {
	median,
	medians,
	spread,
	threeFigures,
} from "../../scripts/bench/measure/figures.ts";
import { cpuIn, figureIn } from "../../scripts/bench/measure/process.ts";
import { selfTimes } from "../../scripts/bench/measure/profile.ts";

t.test(
	"the median is the middle, or between the two in the middle",
	async (t) => {
		t.equal(median([9, 1, 10]), 9);
		t.equal(median([4, 1, 10, 2]), 3);
		t.ok(Number.isNaN(median([])));
		const runs = [
			{ a: 1, b: 9 },
			{ a: 3, b: 7 },
			{ a: 2, b: 8 },
		];
		t.same(medians(["a", "b"], runs), { a: 2, b: 8 });
	},
);

t.test("tables show three figures", async (t) => {
	t.same([1234.5, 208.4, 41.34, 4.312, 0.866, 0].map(threeFigures), [
		"1235",
		"208",
		"41.3",
		"4.31",
		"0.87",
		"0.00",
	]);
	t.equal(threeFigures(Number.NaN), "–");
	t.equal(spread([0.4, 0.29, 0.31]), "0.31 (0.29–0.40)");
	t.equal(spread([]), "–");
});

/** 500 MB in 2 s, and half a second more until synced. */
const course = {
	first: { at: 1000, sender: 300, receiver: 400 },
	done: { at: 3000, sender: 1200, receiver: 1300 },
	synced: { at: 3500, sender: 1300, receiver: 1900 },
	memory: {
		sender: { pss: 90e6, anonymous: 80e6 },
		receiver: { pss: 100e6, anonymous: 70e6 },
	},
	written: 510e6,
};

t.test("a course becomes figures", async (t) => {
	t.same(figuresOf(course, 500e6), {
		mbps: 250,
		mbpsSynced: 200,
		cpuSender: 2,
		cpuReceiver: 3,
		cpuBoth: 5,
		pssSender: 90,
		pssReceiver: 100,
		anonymousSender: 80,
		anonymousReceiver: 70,
		written: 1.02,
	});
});

t.test("ratios are of medians, to the base", async (t) => {
	const base = figuresOf(course, 500e6);
	const twice = { ...base, mbps: 500, mbpsSynced: 300, cpuBoth: 4 };
	const outlier = { ...twice, mbps: 1, mbpsSynced: 1, cpuBoth: 99 };
	const results = [
		{ name: "ours", about: "", runs: [twice, outlier, twice] },
		{ name: "theirs", about: "", runs: [base] },
	];
	const [ours, theirs] = summarize(results, "theirs");
	t.same(ours?.ratios, { mbps: 2, mbpsSynced: 1.5, cpuBoth: 0.8 });
	t.same(theirs?.ratios, { mbps: 1, mbpsSynced: 1, cpuBoth: 1 });
	t.notOk("ratios" in (summarize(results, "absent")[0] ?? {}));
});

t.test("what /proc says is read, whatever a process is called", async (t) => {
	const after = "S 1 2 3 0 -1 4194560 1 2 3 4 250 75 8 9 20 0 1 0 100 200 300";
	t.equal(cpuIn(`42 (a) R 9 (b) ${after}`), 3250);
	const io =
		"rchar: 5\nwchar: 6\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n";
	t.equal(figureIn(io, "write_bytes"), 4096);
	t.equal(figureIn("Pss:      12 kB\nPss_Anon:  7 kB\n", "Pss_Anon"), 7);
	t.ok(Number.isNaN(figureIn(io, "read_bytes")));
});

t.test("self times leave idling out and name no machine's paths", async (t) => {
	const frame = (functionName: string, url = "", lineNumber = -1) => ({
		functionName,
		url,
		lineNumber,
	});
	const times = selfTimes({
		nodes: [
			{ id: 1, callFrame: frame("(idle)") },
			{ id: 2, callFrame: frame("put", "file:///x/src/store/shard.ts", 9) },
			{ id: 3, callFrame: frame("", "/x/node_modules/streamx/index.js", 0) },
			{ id: 4, callFrame: frame("put", "file:///x/src/store/shard.ts", 9) },
		],
		samples: [1, 2, 3, 4, 1],
		timeDeltas: [7, 5000, 2000, 3000, 4000],
	});
	t.same(times, [
		{ name: "put src/store/shard.ts:10", self: 6, share: 2 / 3 },
		{ name: "(anonymous) streamx/index.js:1", self: 3, share: 1 / 3 },
	]);
});
