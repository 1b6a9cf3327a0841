import { connect as dial } from "node:net";
import { connectAsync, type MqttClient } from "mqtt";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { type Broker, startBroker } from "../../src/headend/control/broker.ts";
import { newBox, REGION } from "../control/operator.ts";

async function start(t: Test): Promise<Broker> {
	const broker = await startBroker({ host: "127.0.0.1", port: 0, log: silent });
	t.teardown(() => broker.close());
	return broker;
}

async function join(
	t: Test,
	{ port }: Broker,
	clientId: string,
): Promise<MqttClient> {
	const client = await connectAsync(`mqtt://127.0.0.1:${port}`, {
		clientId,
		reconnectPeriod: 0,
	});
	client.on("error", () => undefined);
	t.teardown(() => client.endAsync(true));
	return client;
}

t.test("only loopback", async (t) => {
	for (const host of ["0.0.0.0", "::", "192.0.2.7", "example.net", ""])
		await t.rejects(
			startBroker({ host, port: 0, log: silent }),
			{ code: "CONFIG_INVALID" },
			host,
		);
	const broker = await startBroker({ host: "localhost", port: 0, log: silent });
	await broker.close();
});

t.test("a taken port is named", async (t) => {
	const { port } = await start(t);
	await t.rejects(startBroker({ host: "127.0.0.1", port, log: silent }), {
		code: "PORT_TAKEN",
		message: new RegExp(`${port}`),
	});
});

t.test("only boxes and headends come in", async (t) => {
	const broker = await start(t);
	await join(t, broker, newBox());
	await join(t, broker, "headend-1");
	for (const name of ["anybody", "", "HEADEND-1", newBox().toUpperCase()])
		await t.rejects(join(t, broker, name), /Identifier rejected/, name);
});

t.test("a box reads what is for it and nothing else", async (t) => {
	const broker = await start(t);
	const [box, other] = [newBox(), newBox()];
	const client = await join(t, broker, box);
	const may = [
		`larder/v1/box/${box}/down/desired`,
		`larder/v1/box/${box}/down/command`,
		`larder/v1/region/${REGION}/down/head`,
	];
	await t.resolves(client.subscribeAsync(may, { qos: 1 }));
	const mayNot = [
		`larder/v1/box/${other}/down/command`,
		`larder/v1/box/${box}/up/state`,
		`larder/v1/region/${REGION}/up/quality`,
		`larder/v1/box/${box}/#`,
		"larder/v1/box/+/up/#",
		"#",
		"$SYS/#",
		`$share/x/larder/v1/box/${other}/down/command`,
	];
	for (const filter of mayNot)
		await t.rejects(client.subscribeAsync(filter), /Subscribe error/, filter);
	const headend = await join(t, broker, "headend-1");
	await headend.subscribeAsync("larder/v1/box/+/up/#");
	await t.rejects(headend.subscribeAsync("$SYS/#"), /Subscribe error/);
});

t.test("a box writes as itself; who does not is put out", async (t) => {
	const broker = await start(t);
	const [box, other] = [newBox(), newBox()];
	const headend = await join(t, broker, "headend-1");
	const heard: string[] = [];
	headend.on("message", (topic) => heard.push(topic));
	await headend.subscribeAsync("larder/v1/#", { qos: 1 });
	const own = `larder/v1/box/${box}/up/state`;
	for (const topic of [
		`larder/v1/box/${other}/up/state`,
		`larder/v1/box/${box}/down/desired`,
		`larder/v1/region/${REGION}/down/head`,
		`larder/v1/box/${box}/up/state/more`,
		"$SYS/x",
	]) {
		const client = await join(t, broker, box);
		const put = new Promise<void>((resolve) => client.once("close", resolve));
		client.publish(topic, "x");
		await put;
		t.pass(topic);
	}
	const client = await join(t, broker, box);
	const arrived = new Promise((resolve) => headend.once("message", resolve));
	await client.publishAsync(own, "x", { qos: 1 });
	await arrived;
	const all = `larder/v1/region/${REGION}/up/quality`;
	const next = new Promise((resolve) => headend.once("message", resolve));
	await client.publishAsync(all, "x", { qos: 1 });
	await next;
	t.same(heard, [own, all]);
});

t.test("a packet without end is not kept", async (t) => {
	const broker = await start(t);
	const socket = dial(broker.port, "127.0.0.1");
	socket.on("error", () => undefined);
	// CONNECT, 200 MB long by its own word.
	socket.write(Buffer.from("1080a2af5f00044d5154540402003c", "hex"));
	const chunk = Buffer.alloc(64 * 1024);
	const pour = () => {
		while (!socket.destroyed && socket.write(chunk));
	};
	socket.on("drain", pour);
	pour();
	await new Promise((resolve) => socket.once("close", resolve));
	t.ok(socket.bytesWritten < 40e6, `${socket.bytesWritten} bytes`);
});

t.test("long sessions of small packets are not cut", async (t) => {
	const broker = await start(t);
	const box = newBox();
	const client = await join(t, broker, box);
	const payload = Buffer.alloc(256 * 1024);
	for (let i = 0; i < 40; i++)
		await client.publishAsync(`larder/v1/box/${box}/up/fill`, payload, {
			qos: 1,
		});
	t.ok(client.connected);
});

t.test("nothing is left after a restart", async (t) => {
	const first = await startBroker({ host: "127.0.0.1", port: 0, log: silent });
	const { port } = first;
	const topic = `larder/v1/region/${REGION}/down/head`;
	const one = await join(t, first, "headend-1");
	await one.publishAsync(topic, "old", { qos: 1, retain: true });
	await first.close();
	const second = await startBroker({ host: "127.0.0.1", port, log: silent });
	t.teardown(() => second.close());
	const two = await join(t, second, "headend-1");
	const got: string[] = [];
	two.on("message", (_topic, payload) => got.push(payload.toString()));
	await two.subscribeAsync(topic, { qos: 1 });
	const arrived = new Promise((resolve) => two.once("message", resolve));
	await two.publishAsync(topic, "new", { qos: 1 });
	await arrived;
	t.same(got, ["new"]);
});
