// The listener where boxes without a certificate ask for one.
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { enrolAccess } from "../../../src/headend/tls/access.ts";
import { upTopic } from "../../../src/wire/topics.ts";
import { newBox } from "../../control/operator.ts";
import {
	enter,
	newClient,
	newScene,
	type Scene,
	startMosquitto,
} from "./shipped.ts";

const ENROL = "mosquitto-enrol.conf";
const NOT_AUTHORIZED = 0x87;
const asks = (box: string) => `larder/v1/enrol/${box}/up/request`;
const answers = (box: string) => `larder/v1/enrol/${box}/down/answer`;

/** The headend on the enrolment's own listener, under a client id that it chose. */
async function headend(t: Test, scene: Scene, clientId: string) {
	const { enrolHeadendPort } = scene.ports;
	const url = `mqtts://127.0.0.1:${enrolHeadendPort}`;
	const access = await enrolAccess(scene.operator, url);
	const { cert = "", key = "" } = (await access.tls?.(clientId)) ?? {};
	const options = { cert, key, clientId };
	return await enter(t, scene, undefined, options, enrolHeadendPort);
}

t.test("a box without a certificate asks and is answered", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene, ENROL);
	const { enrolPort, enrolHeadendPort } = scene.ports;
	const knock = (clientId: string, port = enrolPort) =>
		enter(t, scene, undefined, { clientId }, port);
	const desk = await headend(t, scene, "headend-of-today");
	await desk.subscribeAsync(asks("+"), { qos: 1 });
	const [box, other] = [newBox(), newBox()];
	// Names that would be wildcards in the rules.
	const wild = [await knock("+"), await knock("#"), await knock("+/#")];
	for (const one of wild) await one.subscribeAsync("#", { qos: 1 });
	const client = await knock(box);
	await client.subscribeAsync([answers(box), "#"], { qos: 1 });
	await client.publishAsync(asks(box), "let me in", { qos: 1 });
	await desk.got.until((it) => it === `${asks(box)} let me in`);
	await desk.publishAsync(answers(other), "for another", { qos: 1 });
	await desk.publishAsync(answers(box), "come", { qos: 1 });
	await client.got.until((it) => it === `${answers(box)} come`);
	const all = new Set(client.got.all);
	t.same(all, new Set([`${answers(box)} come`]));

	for (const topic of [
		...[asks(other), answers(box), answers(other)],
		...[upTopic(box, "state"), "elsewhere"],
	])
		await t.rejects(
			client.publishAsync(topic, "x", { qos: 1 }),
			{ code: NOT_AUTHORIZED },
			topic,
		);
	await t.rejects(
		desk.publishAsync(`larder/v1/box/${box}/down/command`, "x", { qos: 1 }),
		{ code: NOT_AUTHORIZED },
	);
	await t.rejects(knock(box, enrolHeadendPort), "no certificate, no headend");
	t.same(desk.got.all, [`${asks(box)} let me in`]);
	for (const one of wild) t.same(one.got.all, []);
});

t.test("nothing large is taken, and nothing is kept", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene, ENROL);
	const box = newBox();
	const knock = () =>
		enter(t, scene, undefined, { clientId: box }, scene.ports.enrolPort);
	const client = await knock();
	const { serverProperties } = client as unknown as {
		serverProperties: { retainAvailable: boolean };
	};
	t.equal(serverProperties.retainAvailable, false);
	const closed = new Promise<void>((resolve) => {
		client.once("close", () => resolve());
	});
	client.publish(asks(box), Buffer.alloc(64 * 1024));
	await closed;
	await knock();
});

/** Where a stranger takes a box's id at the enrolment listener, and whether the box's session lives on. */
async function stealing(t: Test, scene: Scene): Promise<"lives" | "ended"> {
	const shown = await newClient(scene.papers);
	const client = await enter(t, scene, shown);
	const ended = new Promise<"ended">((resolve) => {
		client.once("close", () => resolve("ended"));
	});
	const { enrolPort } = scene.ports;
	await enter(t, scene, undefined, { clientId: shown.box }, enrolPort);
	const lives = client
		.publishAsync(upTopic(shown.box, "fill"), "x", { qos: 1 })
		.then(() => "lives" as const);
	return await Promise.race([ended, lives]);
}

t.test("a stranger who takes a box's id ends no session", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene);
	await startMosquitto(t, scene, ENROL);
	t.equal(await stealing(t, scene), "lives");
});

t.test("in one process it would: why there are two", async (t) => {
	const scene = await newScene(t);
	const read = (name: string) => readFile(join(scene.folder.dir, name), "utf8");
	const enrol = await read(ENROL);
	const listeners = enrol.slice(enrol.indexOf("\nlistener "));
	await appendFile(join(scene.folder.dir, "mosquitto.conf"), listeners);
	await startMosquitto(t, scene);
	t.equal(await stealing(t, scene), "ended");
});
