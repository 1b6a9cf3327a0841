// The agent as it starts, at a broker where a test plays the headend: what it knows of the time, and by whose word.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR, MINUTE } from "../../src/base/time.ts";
import type { HeadRecord } from "../../src/control/headrecord.ts";
import { freeTcpPort } from "../../src/desk/ports.ts";
import { startBroker } from "../../src/headend/control/broker.ts";
import { sealAnswer } from "../../src/headend/enrol/papers.ts";
import type { BoxSettings } from "../../src/headend/operator/boxconfig.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { callIpc } from "../../src/ipc/client.ts";
import type { Command } from "../../src/wire/command.ts";
import { seal } from "../../src/wire/envelope.ts";
import type { Bans } from "../../src/wire/head.ts";
import { type Status, status } from "../../src/wire/ipc.ts";
import { encodeMessage, parseValue } from "../../src/wire/json.ts";
import { shortFolder } from "../cli/run.ts";
import { newTitle, REGION } from "../control/operator.ts";
import { hear, openDesk } from "../control/rig.ts";
import { makeBootstrap, until } from "../fixture.ts";

t.setTimeout(120_000);

const BUILT = Date.UTC(2026, 0, 1);
// As build.mjs does.
Object.assign(globalThis, { LARDER_BUILT: BUILT });
const { startAgent } = await import("../../src/agent/agent.ts");

/** A box whose lease was given at that instant, ready to be started, and the desk that hears it. */
async function scene(t: Test, issued: number, settings: BoxSettings = {}) {
	const dir = await shortFolder(t);
	const broker = await startBroker({ host: "127.0.0.1", port: 0, log: silent });
	t.teardown(() => broker.close());
	const { node, address } = await makeBootstrap();
	t.teardown(() => node.destroy());
	const url = `mqtt://127.0.0.1:${broker.port}`;
	const operator = await initOperator(
		join(dir, "operator"),
		{ region: REGION, bootstrap: [address], brokerUrl: url },
		() => BUILT - 200 * DAY,
	);
	const folder = join(dir, "box");
	const box = await issueBox(
		operator,
		{
			...{ serial: "1", dir: folder, swarmHost: "127.0.0.1", swarmPort: 0 },
			...{ reach: "direct", socket: join(dir, "s"), quota: "1 MiB" },
			...{ gatewayPort: await freeTcpPort(), ...settings },
		},
		() => issued,
	);
	const time = Promise.withResolvers<number>();
	const answer = async (nonce: string, at: number) => {
		const { network, signers } = operator;
		const said = sealAnswer(operator, { box, nonce }, {}, at);
		const command: Command = {
			...{ network, box, id: nonce, issuedAt: at, expires: at + MINUTE },
			body: { kind: "issuance", statement: JSON.parse(said.toString()) },
		};
		await desk.dispatch.command(box, seal(signers.placement, command), MINUTE);
	};
	const desk = await openDesk(t, url, (_box, { id, kind }) => {
		// Not waited for: nothing else is heard meanwhile.
		if (kind === "time") void time.promise.then((at) => answer(id, at));
	});
	const start = async () => {
		const config = join(folder, "larder.toml");
		const agent = await startAgent(
			config,
			{ ...silent },
			(error) => {
				throw error;
			},
			() => t.fail("there is no other release"),
		);
		t.teardown(() => agent.close());
	};
	const ask = async (): Promise<Status> => {
		const read = parseValue(
			status,
			await callIpc(join(dir, "s"), "status", MINUTE),
		);
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	return { operator, box, desk, folder, start, ask, tell: time.resolve };
}

for (const [what, issued, floor] of [
	["its lease was given", BUILT + 100 * DAY, BUILT + 100 * DAY],
	["it was built", BUILT - 100 * DAY, BUILT],
] as const)
	t.test(`it is at least as late as when ${what}`, async (t) => {
		const { box, desk, start } = await scene(t, issued);
		await start();
		const { since } = await hear(desk, box, "state");
		t.ok(since >= floor && since < floor + HOUR, new Date(since).toISOString());
	});

t.test("what is left alone is judged again once time is known", async (t) => {
	const issued = BUILT + DAY;
	const { operator, box, desk, folder, start, tell } = await scene(t, issued);
	const { network, signers } = operator;
	const say = async (version: number, purged: Bans["purged"]) => {
		const said = { network, region: REGION, epoch: 1, version };
		const word = { ...said, issuedAt: version, revoked: [], purged };
		const bans = JSON.parse(seal(signers.revoke, word).toString());
		await desk.dispatch.head(REGION, encodeMessage({ bans }));
	};
	const obeyed = () => {
		const path = join(folder, "data", "control", "head.json");
		if (!existsSync(path)) return 0;
		const record: HeadRecord = JSON.parse(readFileSync(path, "utf8"));
		return record.purged.length;
	};
	await start();
	await hear(desk, box, "state");
	await say(issued + HOUR, []);
	const purged = Array.from({ length: 30 }, (_, i) => ({
		title: newTitle(),
		at: issued + (i < 20 ? 4 : 5) * DAY,
	}));
	await say(issued + 6 * DAY, purged);
	await hear(desk, box, "reported", ({ code }) => code === "too-many-purges");
	await until(() => obeyed() === 20);
	tell(issued + 7 * DAY);
	await until(() => obeyed() === 30);
	t.pass("it obeys all");
});

t.test("the system's clock may jump by a year, and back", async (t) => {
	/** A Monday. */
	const noon = Date.UTC(2026, 0, 5, 12);
	const windows = '[{ hours = "12-13", trunk = "8 Mbit/s" }]';
	const { box, desk, start, ask, tell } = await scene(t, BUILT, { windows });
	await start();
	await hear(desk, box, "state");
	tell(noon);
	let before = await ask();
	while (before.fill?.closed !== undefined) before = await ask();
	const { now } = Date;
	for (const days of [365, -365, 0]) {
		t.intercept(Date, "now", { value: () => now() + days * DAY + 5 * HOUR });
		const { uptime, fill, membership, control, problems } = await ask();
		t.ok(uptime >= before.uptime && uptime < 5 * MINUTE, `up for ${uptime} ms`);
		t.same(fill, before.fill, "it is as late as it was");
		t.same(membership, before.membership);
		t.same(control, before.control, "and the broker is there");
		t.same(problems, before.problems);
	}
});
