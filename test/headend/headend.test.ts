import { execFile } from "node:child_process";
import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { connectAsync } from "mqtt";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { HOUR } from "../../src/base/time.ts";
import { Control, type Order } from "../../src/control/control.ts";
import type { Desired } from "../../src/control/desired.ts";
import type { Standing } from "../../src/control/heads.ts";
import { blankDatabase } from "../../src/desk/blank.ts";
import { freeTcpPort, freeUdpPort } from "../../src/desk/ports.ts";
import { HeadendClient } from "../../src/headend/api/client.ts";
import { restore } from "../../src/headend/backup/backup.ts";
import { startBroker } from "../../src/headend/control/broker.ts";
import { type Headend, startHeadend } from "../../src/headend/headend.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import {
	initOperator,
	type Operator,
} from "../../src/headend/operator/operator.ts";
import { titlesDir, writeTitle } from "../../src/headend/publish/titles.ts";
import { openCatalogWriter } from "../../src/logs/writer.ts";
import { openBootstrapNode } from "../../src/swarm/dht.ts";
import { seal } from "../../src/wire/envelope.ts";
import { isNewer } from "../../src/wire/head.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { encodeMessage } from "../../src/wire/json.ts";
import { headTopic } from "../../src/wire/topics.ts";
import { Happenings } from "../control/operator.ts";
import { FAST, levels } from "../control/rig.ts";
import { recordOf, region } from "./fixture.ts";

t.setTimeout(240_000);

const MAIN = join(import.meta.dirname, "../../src/cli/main.ts");
const film = "f".repeat(64) as TitleId;

/** `larder …`, as an operator types it. */
function larder(...args: string[]) {
	return new Promise<{ code: number; stdout: string; stderr: string }>(
		(resolve) => {
			execFile(process.execPath, [MAIN, ...args], (error, stdout, stderr) =>
				resolve({
					code: typeof error?.code === "number" ? error.code : 0,
					stdout,
					stderr,
				}),
			);
		},
	);
}

/** The control plane of a box, and all that it was told. */
async function openBox(t: Test, operator: Operator, dir: string) {
	const box = await issueBox(operator, { serial: "box-1", dir });
	const placements = new Happenings<Desired>();
	const heads = new Happenings<Standing>();
	const orders = new Happenings<Order>();
	const control = await Control.start({
		url: operator.config.broker.url,
		box,
		region,
		trust: operator.trust,
		folder: dir,
		version: "test",
		power: "active",
		reach: "direct",
		timing: FAST,
		ran: Date.now,
		fetchRef: () => Promise.reject(new Error("no origin")),
		log: silent,
		handlers: {
			placement: placements.add,
			head: heads.add,
			order: async (order) => {
				orders.add(order);
				if (order.kind === "log-level") throw new Error("too loud already");
				return undefined;
			},
		},
	});
	t.teardown(() => control.close());
	return { box, control, placements, heads, orders };
}

t.test("a headend and a box, from the first title to the last", async (t) => {
	const dir = t.testdir();
	const broker = await startBroker({ host: "127.0.0.1", port: 0, log: silent });
	t.teardown(() => broker.close());
	const dhtPort = await freeUdpPort();
	const node = await openBootstrapNode("127.0.0.1", dhtPort, []);
	t.teardown(() => node.destroy({ force: true }));
	const operator = await initOperator(join(dir, "operator"), {
		region,
		bootstrap: [`127.0.0.1:${dhtPort}`],
		swarmPort: await freeUdpPort(),
		brokerUrl: `mqtt://127.0.0.1:${broker.port}`,
		originPort: await freeTcpPort(),
		apiPort: await freeTcpPort(),
	});
	await blankDatabase(join(operator.dir, "db"));
	let headend: Headend | undefined;
	const start = async (folder: string) => {
		headend = await startHeadend(folder, silent, { quiet: 10, listen: 3000 });
	};
	const stop = async () => {
		await headend?.close();
		headend = undefined;
	};
	t.teardown(stop);
	const at = ["-d", operator.dir];
	await start(operator.dir);
	const it = await openBox(t, operator, join(dir, "box"));
	const backupFile = join(dir, "larder.backup");
	const newestHead = () => {
		const newest = it.heads.all.at(-1);
		if (newest?.announcement === undefined) throw new Error("no head came");
		return newest.announcement;
	};

	await t.test(
		"a title is published: catalog, head and placement",
		async (t) => {
			await it.heads.until(() => true);
			t.equal(newestHead().catalog.length, 0);
			it.control.fill(
				levels(0, { capacity: 1_000_000, placedBytes: 4000, heldBytes: 1000 }),
			);
			await writeTitle(operator.dir, recordOf(film));
			await it.heads.until(
				({ announcement }) => (announcement?.catalog.length ?? 0) > 0,
			);
			const told = await it.placements.until(({ titles }) => titles.length > 0);
			t.equal(told.epoch, operator.epoch);
		},
	);

	// Waited for below: it takes as long as a box may take to answer.
	const away = await issueBox(operator, {
		serial: "box-2",
		dir: join(dir, "box-2"),
	});
	const silence = HeadendClient.open(operator.dir)
		.then((client) => client.command(away, { kind: "report" }))
		.catch((error: unknown) => error);

	await t.test(
		"the command line asks the box by serial or short id",
		async (t) => {
			const listed = await larder("boxes", ...at, "--json");
			t.match(JSON.parse(listed.stdout), [
				{ id: it.box, serial: "box-1", online: true },
			]);
			t.match(
				(await larder("boxes", ...at)).stdout,
				/box-1 +online +25 % .* test\b/,
			);
			const asked = await larder(
				"command",
				it.box.slice(0, 8),
				"report",
				...at,
			);
			t.match(asked, { code: 0, stdout: /box-1 .*done/ });
			t.same(it.orders.all, [{ kind: "report" }]);
			t.match(await larder("command", "box-1", "log-level", "debug", ...at), {
				code: 1,
				stderr: /box-1 could not: too loud already/,
			});
			t.match(await larder("command", "box-1", "log-level", ...at), {
				code: 1,
				stderr: /log-level takes one of/,
			});
			t.match(await larder("command", "nobody", "report", ...at), {
				code: 1,
				stderr: /BOX_UNKNOWN/,
			});
			t.match(await larder("plan", ...at), {
				code: 0,
				stdout: /1 title over 1 box: nobody is told anything new/,
			});
		},
	);

	await t.test("a backup is written while it runs", async (t) => {
		t.match(await larder("backup", backupFile, ...at), { code: 0 });
		t.equal((await stat(backupFile)).mode & 0o777, 0o600);
	});

	await t.test("somebody else gets a token", async (t) => {
		const made = await larder("token", "add", "noc", "--role", "viewer", ...at);
		const token = made.stdout.split("\n")[0] ?? "";
		t.match(token, /^[0-9a-f]{64}$/);
		const base = `http://127.0.0.1:${operator.config.api.port}`;
		const headers = { authorization: `Bearer ${token}` };
		t.equal((await fetch(`${base}/api/boxes`, { headers })).status, 200);
		t.match(await larder("token", "list", ...at), {
			code: 0,
			stdout: /noc +viewer/,
		});
		t.match(await larder("audit", "--since", "1h", "--json", ...at), {
			code: 0,
			stdout: /"action": "token-add"[^}]*"noc \(viewer\)"/,
		});
		t.match(await larder("audit", "--since", "lately", ...at), { code: 1 });
	});

	await t.test("what does not answer is said", async (t) => {
		t.match(await silence, { code: "BOX_SILENT" });
		const client = await HeadendClient.open(operator.dir);
		await t.rejects(
			client.command("0".repeat(64) as BoxId, { kind: "report" }),
			{ code: "BOX_UNKNOWN" },
		);
	});

	await t.test("a restart says the same as before", async (t) => {
		const file = join(operator.dir, "head.json");
		const before = await readFile(file);
		const heard = it.heads.all.length;
		await stop();
		t.match(await larder("boxes", ...at), {
			code: 1,
			stderr: /no headend runs on .*HEADEND_UNREACHABLE.\n.*larder headend/,
		});
		t.match(await larder("token", "remove", "noc", ...at), { code: 0 });
		t.match(await larder("token", "list", ...at), { stdout: /nobody/ });
		await start(operator.dir);
		t.same(await readFile(file), before);
		t.equal(it.heads.all.length, heard);
	});

	await t.test(
		"a record that is removed is a title that is gone",
		async (t) => {
			const before = newestHead();
			await rm(join(titlesDir(operator.dir), `${film}.json`));
			await it.heads.until(
				({ announcement }) =>
					announcement !== undefined && isNewer(announcement, before),
			);
			const told = await it.placements.until(
				({ titles }) => titles.length === 0,
			);
			t.equal(told.epoch, operator.epoch);
		},
	);

	await t.test("a serial is given to another box", async (t) => {
		const issue = (name: string, ...more: string[]) =>
			larder("issue", join(dir, name), "--serial", "box-2", ...more, ...at);
		t.match(await issue("other"), {
			code: 1,
			stderr: new RegExp(`${away.slice(0, 8)}.*--replace`, "s"),
		});
		t.match(await issue("other", "--replace"), {
			code: 0,
			stdout: new RegExp(`${away.slice(0, 8)} is shut out`),
		});
		await it.heads.until(({ revoked }) => revoked.has(away));
		t.match(await larder("audit", ...at), {
			stdout: /revoke .*done +box-2 was given to [0-9a-f]{8}\n/,
		});
		t.match(
			await issue("third"),
			{ code: 1, stderr: /--replace/ },
			"the other, which has not said anything yet, is in, too",
		);
		await stop();
		t.match(
			await issue("third"),
			{ code: 1, stderr: /--replace/ },
			"nor while no headend runs",
		);
		t.match(await issue("third", "--replace"), {
			code: 1,
			stderr: /no headend runs/,
		});
		await start(operator.dir);
	});

	await t.test("a box that is shut out gets no key", async (t) => {
		await writeTitle(operator.dir, recordOf(film));
		t.match(await larder("revoke", "box-1", ...at), {
			code: 1,
			stderr: /--why/,
		});
		t.match(await larder("revoke", "box-1", "--why", "stolen", ...at), {
			code: 0,
		});
		await it.heads.until(({ revoked }) => revoked.has(it.box));
		const heard = it.heads.all.length;
		await t.rejects(
			it.control.key(film, AbortSignal.timeout(30_000)),
			{ code: "TITLE_KEY_UNAVAILABLE" },
			"nobody answers it",
		);
		t.match(await larder("command", "box-1", "report", ...at), {
			code: 1,
			stderr: /BOX_REVOKED/,
		});
		t.match((await larder("boxes", ...at)).stdout, /box-1 +revoked .*stolen/);
		t.match(await larder("audit", ...at), {
			code: 0,
			stdout: /operator +127\.0\.0\.1 +revoke +[0-9a-f]+ +done +stolen\n/,
		});
		const undo = ["revoke", "box-1", "--undo", "--why", "found", ...at];
		t.match(await larder(...undo), { code: 0, stdout: /box-1 .*in again/ });
		await it.heads.until(({ revoked }) => !revoked.has(it.box), heard);
		t.match((await larder("boxes", ...at)).stdout, /box-1 +online/);
		t.match(await larder(...undo), { code: 1, stderr: /is not shut out/ });
		t.match(await larder("audit", ...at), {
			stdout: /revoke-undo +[0-9a-f]+ +done +found\n/,
		});
		t.match(await larder("revoke", "box-1", "--why", "stolen", ...at), {
			code: 0,
		});
		await stop();
		const catalog = await openCatalogWriter(join(operator.dir, "catalog"), {
			epoch: operator.epoch,
		});
		t.teardown(() => catalog.close());
		t.match(await catalog.list(), [{ id: film }]);
	});

	await t.test(
		"restored, it begins a higher epoch with another catalog",
		async (t) => {
			// The clock of the machine that was lost was ahead of this one.
			const last = { ...newestHead(), version: Date.now() + 6 * HOUR };
			const { bans } = JSON.parse(
				await readFile(join(operator.dir, "head.json"), "utf8"),
			);
			const announcement = JSON.parse(
				seal(operator.signers.catalog, last).toString(),
			);
			const old = await connectAsync(operator.config.broker.url, {
				clientId: "headend-old",
			});
			const bytes = encodeMessage({ announcement, bans });
			await old.publishAsync(headTopic(region), bytes, {
				qos: 1,
				retain: true,
			});
			await old.endAsync();
			await it.heads.until(
				({ announcement }) => announcement?.version === last.version,
			);
			const back = await restore(backupFile, join(dir, "restored"));
			await start(back.dir);
			await it.heads.until(
				({ announcement }) => announcement?.epoch === back.epoch,
			);
			t.ok(isNewer(newestHead(), last));
			t.not(newestHead().catalog.key, last.catalog.key);
			const first = it.heads.all.find(({ bans }) => bans?.epoch === back.epoch);
			t.ok(first?.revoked.has(it.box), "who was shut out stays so");
			t.match(await larder("audit", "-d", back.dir), {
				code: 0,
				stdout: /headend +.*revoke .*the region was told so/,
			});
			await stop();
		},
	);
});
