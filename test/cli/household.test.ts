import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { MINUTE } from "../../src/base/time.ts";
import { MiB } from "../../src/base/units.ts";
import { startIpc } from "../../src/ipc/server.ts";
import type { IpcHandlers } from "../../src/ipc/session.ts";
import type { HouseholdStatus } from "../../src/wire/ipc.ts";
import { silentAgent } from "../ipc/silent.ts";
import { larder } from "../system/desk.ts";
import { shortFolder } from "./run.ts";

t.setTimeout(120_000);

t.test("what a household tells its box", async (t) => {
	const socket = join(await shortFolder(t), "s");
	const heard: unknown[] = [];
	const now: HouseholdStatus = {
		...{ part: "in", activity: "live", give: "none", why: "live" },
		...{ waits: "paused", paused: 5 * MINUTE },
		limits: { up: 2 * MiB, upActive: "none" },
	};
	const hear = (name: string) => async (params: unknown) => {
		heard.push([name, params]);
		return now;
	};
	const handlers: IpcHandlers = {
		...silentAgent,
		"activity-live": hear("live"),
		pause: hear("pause"),
		resume: hear("resume"),
		limits: hear("limits"),
		"opt-out": hear("out"),
		"opt-in": hear("in"),
	};
	const server = await startIpc({ socket, handlers, log: silent });
	t.teardown(() => server.close());
	const tell = (...args: string[]) => larder(...args, "--socket", socket);

	const { said } = await tell("activity", "live");
	t.match(said, /gives +nothing: the household watches TV/);
	t.match(said, /fills +not now: it is paused/);
	t.match(said, /household +2\.00 MiB\/s up, nothing while it is active/);
	t.match(said, /paused +for 5 min/);
	await tell("pause");
	await tell("pause", "30");
	await tell("resume");
	await tell("limits");
	await tell("limits", "--up", "4 Mbit/s", "--up-active", "none");
	await tell("opt-out");
	t.same(JSON.parse((await tell("opt-in", "--json")).said), now);
	t.same(heard, [
		["live", undefined],
		["pause", {}],
		["pause", { minutes: 30 }],
		["resume", undefined],
		["limits", {}],
		["limits", { up: 500_000, upActive: "none" }],
		["out", undefined],
		["in", undefined],
	]);
	for (const wrong of [
		["pause", "0"],
		["limits", "--up", "4"],
		["activity", "asleep"],
	])
		t.not((await tell(...wrong)).code, 0, wrong.join(" "));
	t.equal(heard.length, 8);
});
