// From the factory to the first lease and the next: a whole headend, both of Mosquitto's configurations, and `larder enrol`.
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { BoxClock } from "../../../src/agent/clock.ts";
import { identityOf } from "../../../src/agent/enrol.ts";
import { silent } from "../../../src/base/log.ts";
import { ANY_TIME, openTls } from "../../../src/control/tls.ts";
import { blankDatabase } from "../../../src/desk/blank.ts";
import { freeTcpPort, freeUdpPort } from "../../../src/desk/ports.ts";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import { startHeadend } from "../../../src/headend/headend.ts";
import { openOperator } from "../../../src/headend/operator/operator.ts";
import { retireKeys, rotateKey } from "../../../src/headend/operator/rotate.ts";
import { openBootstrapNode } from "../../../src/swarm/dht.ts";
import { command } from "../../../src/wire/command.ts";
import { enrolFile, issuance, type Papers } from "../../../src/wire/enrol.ts";
import { unseal, unsealParsed } from "../../../src/wire/envelope.ts";
import { encodeMessage, parseMessage } from "../../../src/wire/json.ts";
import { privateKeyPem } from "../../../src/wire/keys.ts";
import { downTopic, enrolTopic, upTopic } from "../../../src/wire/topics.ts";
import { Happenings, heard } from "../../control/operator.ts";
import { enter, newScene, startMosquitto } from "../tls/shipped.ts";
import { Applicant, papersIn } from "./office.ts";

t.setTimeout(300_000);

const MAIN = join(import.meta.dirname, "../../../src/cli/main.ts");

t.test("a flashed box becomes a member and stays one", async (t) => {
	const scene = await newScene(t);
	const brokers = [
		await startMosquitto(t, scene),
		await startMosquitto(t, scene, "mosquitto-enrol.conf"),
	];
	const { dir } = scene.operator;
	const dhtPort = await freeUdpPort();
	const node = await openBootstrapNode("127.0.0.1", dhtPort, []);
	t.teardown(() => node.destroy({ force: true }));
	const { enrolPort, enrolHeadendPort } = scene.ports;
	const toml = join(dir, "operator.toml");
	const text = (await readFile(toml, "utf8"))
		.replace(":49737", `:${dhtPort}`)
		.replace("port = 49738", `port = ${await freeUdpPort()}`)
		.replace("port = 8480", `port = ${await freeTcpPort()}`)
		.replace("port = 8490", `port = ${await freeTcpPort()}`)
		.replace(/^# (?=\[enrol\]|url = |headend_url = )/gm, "")
		.replace(":8884", `:${enrolPort}`)
		.replace(":8885", `:${enrolHeadendPort}`);
	await writeFile(toml, text);
	const operator = await openOperator(dir);
	const lines = new Happenings<string>();
	await blankDatabase(join(dir, "db"));
	const headend = await startHeadend(dir, heard(lines));
	t.teardown(() => headend.close());

	/** A command, as an operator types it; throws what it says when it fails. */
	const run = (...args: string[]) =>
		new Promise<string>((resolve, reject) => {
			const command = [MAIN, ...args, "-d", dir];
			execFile(process.execPath, command, (error, stdout, stderr) =>
				error ? reject(new Error(stderr)) : resolve(stdout),
			);
		});
	const larder = (...args: string[]) => run("enrol", ...args);
	const serials = join(t.testdirName, "serials.csv");
	const out = join(t.testdirName, "claims");
	await writeFile(serials, "serial,mac\nSN-1,aa\nSN-2,bb\nSN-3,cc\n");
	await larder("batch", "add", "b1");
	await larder("batch", "add", "img", "--shared");
	t.match(
		await larder("batch", "list"),
		/b1 +one for each box[\s\S]*img +one for/,
	);
	t.match(
		JSON.parse(
			await larder(
				...["claims", "b1", "--serials", serials, "--out", out, "--json"],
			),
		),
		{ written: 3, kept: 0, out },
	);
	t.match(await larder("auto", "--inventory", serials), /3 serial numbers/);
	t.match(await larder("status"), /boxes can enrol[\s\S]*nobody waits/);

	/** First boot: a key of its own, and what the factory wrote. */
	const boot = async (serial: string) => {
		const bytes = await readFile(join(out, serial, "enrol.json"));
		const read = parseMessage(enrolFile, bytes);
		if (!read.ok) throw new Error(read.detail);
		const file = read.value;
		t.equal(file.url, `mqtts://127.0.0.1:${enrolPort}`);
		const box = new Applicant(operator, serial, file.batch);
		const client = await enter(
			t,
			scene,
			undefined,
			{ clientId: box.id },
			enrolPort,
		);
		await client.subscribeAsync(enrolTopic(box.id, "answer"), { qos: 1 });
		const { message } = box.ask(Buffer.from(file.claim, "hex"));
		const topic = enrolTopic(box.id, "request");
		await client.publishAsync(topic, message, { qos: 1 });
		const said = async (from: number) => {
			const line = await client.got.until(() => true, from);
			return box.open(Buffer.from(line.split(/ (.*)/)[1] ?? ""));
		};
		return { box, said };
	};
	const { box, said } = await boot("SN-1");
	const { chain }: Papers = papersIn(await said(0));

	const key = privateKeyPem(box.pair);
	const shown = { box: box.id, cert: chain, key };
	const client = await enter(t, scene, shown);
	await client.subscribeAsync(downTopic(box.id, "command"), { qos: 1 });
	const ask = async (kind: "renew" | "time", id: string) => {
		const from = client.got.all.length;
		const message = encodeMessage({ id, session: "0".repeat(16), kind });
		await client.publishAsync(upTopic(box.id, "request"), message, { qos: 1 });
		const line = await client.got.until(() => true, from);
		const bytes = Buffer.from(line.split(/ (.*)/)[1] ?? "");
		const told = unseal(bytes, "placement", command, operator.trust);
		if (!told.ok || told.value.body.kind !== "issuance") throw new Error(line);
		const { statement } = told.value.body;
		const read = unsealParsed(statement, "issuer", issuance, operator.trust);
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	t.match(await ask("time", "1".repeat(32)), {
		...{ box: box.id, nonce: "1".repeat(32), papers: undefined },
	});
	const next = papersIn(await ask("renew", "2".repeat(32)));
	await enter(t, scene, { ...shown, cert: next.chain });

	// The same by the agent's own code, of an issuer whose key is new. The brokers still show what the one before vouched for.
	const root = join(dir, "keys", "root.json");
	const { granted } = await rotateKey(operator, "issuer", root);
	const sure = { force: true, countOld: async () => 0 };
	await retireKeys(operator, "issuer", root, sure);
	const desk = await HeadendClient.open(dir);
	t.match(await desk.takeKeys("retire issuer"), [
		/^send every broker a SIGHUP/,
	]);
	const place = (name: string) => join(out, "SN-3", name);
	const identity = await identityOf({
		config: { identity: place("identity.json"), enrol: place("enrol.json") },
		clock: new BoxClock(Date.now()),
		onWait: () => undefined,
		log: silent,
	});
	t.match(identity.certificate, { serial: "SN-3", role: "box" });
	t.same(identity.networkSecret, operator.networkSecret);
	const { boxId, shown: own } = identity;
	if (own === undefined) throw new Error("nothing to show to a broker");
	const { trust } = identity;
	t.equal(trust.minimum.get("issuer"), granted.serial, "told as it is let in");
	const socket = openTls("127.0.0.1", scene.ports.port, {
		...{ ca: identity.ca, ...own, time: () => ANY_TIME },
		leastIssuer: () => trust.minimum.get("issuer") ?? 0,
	});
	const refused = await new Promise<Error>((resolve) => {
		socket.once("error", resolve);
	});
	t.match(refused, { code: "BROKER_FAILED", message: /retired-key/ });
	for (const broker of brokers) await broker.reload();
	await enter(t, scene, { box: boxId, ...own });

	const copy = await boot("SN-1");
	t.equal((await copy.said(0)).refusal, "pending");
	t.match(await larder("list"), /SN-1 +b1 +waits .*another box with this/);
	t.match(JSON.parse(await larder("list", "--json")), [
		{ box: copy.box.id, state: "waiting", why: "serial-live" },
		{ box: boxId, state: "issued" },
		{ box: box.id, state: "issued" },
	]);
	await t.rejects(larder("approve", "SN-2"), /nobody waits as "SN-2"/);
	await t.rejects(larder("reject", "SN-1"), /--why/);
	await t.rejects(larder("reject", "--why", "x"), /either a box or a --batch/);
	await larder("reject", copy.box.id.slice(0, 12), "--why", "a copy");
	t.match(await larder("list"), /turned away .*a copy/);

	t.match(await larder("auto", "--off"), /nobody is let in without a person/);
	const second = await boot("SN-2");
	t.equal((await second.said(0)).refusal, "pending");
	t.match(await larder("status"), /1 box waits/);
	t.match(await larder("approve", "SN-2"), /SN-2 \(.*\) is let in/);
	papersIn(await second.said(1));
	const third = await boot("SN-2");
	t.equal((await third.said(0)).refusal, "pending");
	t.match(
		await larder("approve", "SN-2"),
		new RegExp(`${second.box.id.slice(0, 8)}, which had its serial number`),
	);
	papersIn(await third.said(1));
	t.match(
		await larder("reject", "--batch", "b1", "--why", "leaked"),
		/^0 boxes/,
	);
	await larder("batch", "remove", "b1");
	const late = await boot("SN-1");
	t.equal((await late.said(0)).refusal, "bad-claim");
	t.match(await larder("status"), /bad-claim 1/);

	await t.test("a broker that is not told who is shut out", async (t) => {
		const isSaid = (line: string) => line.includes("set reload under [broker]");
		t.ok(isSaid(await lines.until(isSaid)), "the headend says so at its start");
		const from = lines.all.length;
		const said = await run("revoke", boxId.slice(0, 8), "--why", "stolen");
		t.match(said, "is shut out");
		t.ok(isSaid(said), "and so does the command");
		const ended = await lines.until(isSaid, from);
		t.match(ended, "its session at the broker was ended");
		t.notOk(lines.all.some((line) => line.startsWith("put off the broker")));
		await enter(t, scene, { box: boxId, ...own });
		t.pass("for it is back at once");
	});
});
