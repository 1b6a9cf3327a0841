import { networkInterfaces } from "node:os";
import t from "tap";
import { checkHousehold } from "../../../src/agent/household/findings.ts";
import { HOUR, MINUTE } from "../../../src/base/time.ts";
import { MiB } from "../../../src/base/units.ts";
import type { FillLeave } from "../../../src/plan/hours.ts";
import type { Reason } from "../../../src/plan/household.ts";
import type { HouseholdStatus } from "../../../src/wire/ipc.ts";

const NOW = Date.UTC(2027, 0, 4);

async function found({
	status = {} as Partial<HouseholdStatus>,
	insight = {},
	leave = {} as Partial<FillLeave>,
	node = { node: "203.0.113.7:49737", trip: 12.3 } as
		| { node: string; trip: number }
		| undefined,
} = {}) {
	const checks = await checkHousehold({
		household: {
			status: {
				...{ part: "in", activity: "idle", give: 0 },
				...{ limits: { up: 0, upActive: "none" }, ...status },
			},
			insight: { carries: undefined, toldAgo: 0, pressed: 2, ...insight },
		},
		hours: { leave: { trunk: 0, neighbours: 0, up: 0, ...leave } },
		probes: { find: async () => node },
	});
	return Object.fromEntries(checks.map((check) => [check.name, check]));
}

t.test("a household that lets it", async (t) => {
	const checks = await found();
	t.match(checks, {
		giving: { level: "ok", finding: /get no limit; .*not found out yet/ },
		filling: { level: "ok", finding: /nothing holds it back; .* 2 %/ },
		uplink: { level: "ok", finding: /answered by 203.0.113.7:49737 in 12 ms$/ },
	});
	const { giving } = await found({
		status: { give: MiB },
		insight: { carries: 2 * MiB },
	});
	t.match(giving?.finding, /get 1.00 MiB\/s; .*found to carry 2.00 MiB\/s/);
});

t.test("what holds it back, and what to do", async (t) => {
	const because = (why: Reason, more: Partial<HouseholdStatus> = {}) =>
		found({
			status: { give: "none", why, waits: why, ...more },
			insight: { toldAgo: 12 * MINUTE, pressed: 91 },
		});
	t.match(await because("paused", { paused: HOUR }), {
		giving: {
			...{ level: "warn", finding: /get nothing; it is paused for 60 min/ },
			remedy: /larder resume/,
		},
		filling: { level: "warn", remedy: /larder resume/ },
	});
	t.match(await because("paused", { paused: null }), {
		giving: { finding: /paused until it is resumed/ },
	});
	for (const why of ["opted-out", "draining"] as const)
		t.match(await because(why), {
			giving: { level: "warn", remedy: /larder opt-in/ },
		});
	t.match(await because("recording"), {
		giving: {
			level: "ok",
			finding: /records, as the receiver's user interface told 12 min ago/,
		},
	});
	t.match(await because("uplink"), {
		giving: { level: "ok", finding: /the uplink carries no more/ },
		filling: { level: "ok", finding: /nothing is filled: the uplink/ },
	});
	t.match(await because("pressure"), {
		filling: {
			...{ level: "warn", finding: /work waits 91 % of the time/ },
			remedy: /household\.pressure/,
		},
	});
	const limits = { up: "none", upActive: "none" } as const;
	t.match(await found({ status: { give: "none", limits } }), {
		giving: { level: "warn", remedy: /larder limits/ },
	});
});

t.test("hours that are closed", async (t) => {
	t.match(await found({ leave: { closed: "hours", until: NOW } }), {
		filling: {
			...{ level: "ok", finding: /not at this hour, until 2027-01-04T00:00/ },
		},
	});
	t.match(await found({ leave: { closed: "time-unknown" } }), {
		filling: { level: "warn", remedy: /broker/ },
	});
});

t.test("probes that say nothing", async (t) => {
	const checks = await checkHousehold({
		household: {
			status: {
				...{ part: "in", activity: "idle", give: 0 },
				limits: { up: 0, upActive: "none" },
			},
			insight: { carries: undefined, toldAgo: 0, pressed: 0 },
		},
		hours: { leave: { trunk: 0, neighbours: 0, up: 0 } },
		probes: { find: async () => undefined },
	});
	t.match(checks.at(-1), {
		...{ name: "uplink", level: "warn", finding: /that is not noticed/ },
		remedy: /swarm\.bootstrap/,
	});
	const own = Object.values(networkInterfaces())
		.flatMap((each) => each ?? [])
		.find(({ family }) => family === "IPv4");
	const { uplink } = await found({
		node: { node: `${own?.address}:49737`, trip: 0.2 },
	});
	t.match(uplink?.finding, /own network: it shows nothing of an uplink$/);
});
