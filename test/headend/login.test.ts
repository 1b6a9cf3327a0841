import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { brokerAccess } from "../../src/control/access.ts";
import { freeTcpPort, freeUdpPort } from "../../src/desk/ports.ts";
import { apiToken } from "../../src/headend/api/tokens.ts";
import { Dispatch } from "../../src/headend/control/dispatch.ts";
import { startHeadend } from "../../src/headend/headend.ts";
import { brokerOf } from "../../src/headend/operator/config.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import {
	initOperator,
	openOperator,
} from "../../src/headend/operator/operator.ts";
import { openBootstrapNode } from "../../src/swarm/dht.ts";
import { selfSigned } from "../certificate.ts";
import { mosquitto } from "../control/brokers.ts";
import { Happenings, heard, REGION } from "../control/operator.ts";
import { FAST, NETWORK, newFolder } from "../control/rig.ts";
import { region } from "./fixture.ts";

const SECRET = "a secret of the headend";
const login = { username: "north-headend", password: SECRET };

/** An operator whose [broker] has more than a URL. */
async function newOperator(t: Test, brokerUrl: string, settings: string) {
	const dir = join(t.testdir(), "operator");
	const dhtPort = await freeUdpPort();
	await initOperator(dir, {
		region,
		bootstrap: [`127.0.0.1:${dhtPort}`],
		swarmPort: await freeUdpPort(),
		brokerUrl,
		originPort: await freeTcpPort(),
		apiPort: await freeTcpPort(),
	});
	const path = join(dir, "operator.toml");
	const text = await readFile(path, "utf8");
	await writeFile(path, text.replace("[broker]", `[broker]\n${settings}`));
	return { dir, dhtPort };
}

/** A headend's dispatch as its operator's folder says. */
async function openDispatch(t: Test, dir: string) {
	const { config } = await openOperator(dir);
	const lines = new Happenings<string>();
	const log = heard(lines);
	const warnings: string[] = [];
	const dispatch = new Dispatch({
		...(await brokerAccess(brokerOf(dir, config))),
		name: "login",
		network: NETWORK,
		region: REGION,
		knows: () => true,
		isRevoked: () => false,
		retained: () => [],
		log: {
			...log,
			warn(fields, message) {
				warnings.push(message);
				log.warn(fields, message);
			},
		},
		timing: FAST,
		handlers: {
			onState() {},
			onReported() {},
			onFill() {},
			onRequest() {},
			onResponse() {},
			onAttested() {},
			onQuality() {},
			onHead() {},
		},
	});
	t.teardown(() => dispatch.close());
	dispatch.start();
	return { dispatch, lines, warnings };
}

t.test("the headend logs in, and keeps its secret", async (t) => {
	const broker = await mosquitto({ login });
	await broker.start();
	t.teardown(() => broker.stop());
	const { dir, dhtPort } = await newOperator(
		t,
		broker.url,
		'username = "north-headend"\npassword_file = "keys/broker-password"',
	);
	await writeFile(join(dir, "keys/broker-password"), `${SECRET}\n`);
	const node = await openBootstrapNode("127.0.0.1", dhtPort, []);
	t.teardown(() => node.destroy({ force: true }));
	const lines = new Happenings<string>();
	const headend = await startHeadend(dir, heard(lines), { quiet: 10 });
	t.teardown(() => headend.close());
	// Its ear and its mouth.
	const isUp = (line: string) => line.startsWith("broker connected");
	await lines.until(() => lines.all.filter(isUp).length === 2);

	const operator = await openOperator(dir);
	const box = join(t.testdirName, "box");
	await issueBox(operator, { serial: "1", dir: box });
	const { port } = operator.config.api;
	const answer = await fetch(`http://127.0.0.1:${port}/api/overview`, {
		headers: { authorization: `Bearer ${await apiToken(dir)}` },
	});
	t.match(await answer.json(), { broker: { connected: true } });
	const toml = await readFile(join(box, "larder.toml"), "utf8");
	t.notMatch(toml, SECRET);
	t.notMatch(toml, login.username);
	t.notMatch(await readFile(join(dir, "operator.toml"), "utf8"), SECRET);
	t.notOk(lines.all.some((line) => line.includes(SECRET)));
});

t.test("a wrong password is told, and tried until it is right", async (t) => {
	const strict = await mosquitto({ login });
	await strict.start();
	t.teardown(() => strict.stop());
	const { dir } = await newOperator(
		t,
		strict.url,
		'username = "north-headend"\npassword_file = "wrong"',
	);
	await writeFile(join(dir, "wrong"), "a guess");
	const { dispatch, lines, warnings } = await openDispatch(t, dir);
	const refusal = (line: string) => /not reached.*Not authorized/i.test(line);
	await lines.until(() => lines.all.filter(refusal).length === 6);
	t.equal(dispatch.connected, false);
	t.match(dispatch.trouble, /not authorized/i);
	t.same(
		warnings,
		["broker not reached", "broker not reached"],
		"once for each of its connections, not for each attempt",
	);
	t.notOk(lines.all.some((line) => line.includes("a guess")));
	await strict.stop();
	const lenient = await mosquitto({
		login: { ...login, password: "a guess" },
		port: Number(new URL(strict.url).port),
	});
	await lenient.start();
	t.teardown(() => lenient.stop());
	await lines.until(() => dispatch.connected);
	t.equal(dispatch.trouble, undefined);
});

t.test("a broker that an authority of its own vouches for", async (t) => {
	const tls = await selfSigned(newFolder(t));
	const broker = await mosquitto({ tls });
	await broker.start();
	t.teardown(() => broker.stop());
	const { dir } = await newOperator(t, broker.url, 'ca = "keys/broker-ca.pem"');
	await writeFile(
		join(dir, "keys/broker-ca.pem"),
		await readFile(tls.certificate),
	);
	const trusting = await openDispatch(t, dir);
	await trusting.lines.until(() => trusting.dispatch.connected);

	const path = join(dir, "operator.toml");
	const text = await readFile(path, "utf8");
	await writeFile(path, text.replace(/^ca = .*\n/m, ""));
	const wary = await openDispatch(t, dir);
	await wary.lines.until((line) => line.startsWith("broker not reached"));
	t.match(wary.dispatch.trouble, /self[- ]signed/i);
});

t.test("what of [broker] cannot be used is named", async (t) => {
	const cases: [settings: string, names: RegExp][] = [
		['username = ""', /operator\.toml: broker\.username/],
		['password = "secret"', /operator\.toml: broker: .*password/],
		[
			'username = "head"\npassword_file = "none"',
			/broker\.password_file: .*operator\/none cannot be read/,
		],
		[
			'password_file = "operator.toml"',
			/broker\.password_file: needs .*username/,
		],
		['ca = "operator.toml"', /broker\.ca: needs an mqtts/],
		[
			'ca = "operator.toml"\nurl = "mqtts://127.0.0.1"',
			/broker\.ca: .*operator\.toml holds no PEM/,
		],
	];
	for (const [settings, names] of cases) {
		const { dir } = await newOperator(t, "mqtt://127.0.0.1:1", settings);
		const path = join(dir, "operator.toml");
		const text = await readFile(path, "utf8");
		if (settings.includes("url ="))
			await writeFile(path, text.replace(/^url = "mqtt:.*\n/m, ""));
		await t.rejects(
			openOperator(dir).then((it) => brokerAccess(brokerOf(dir, it.config))),
			{ code: "CONFIG_INVALID", message: names },
			settings,
		);
	}
});
