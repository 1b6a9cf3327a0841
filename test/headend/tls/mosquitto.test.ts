// The configuration that is shipped for Mosquitto: who gets in, and what of whom he reaches.
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { IClientOptions } from "mqtt";
import t, { type Test } from "tap";
import { brokerAccess } from "../../../src/control/access.ts";
import { MqttSession } from "../../../src/control/client.ts";
import { endSession } from "../../../src/headend/control/ending.ts";
import { headendAccess } from "../../../src/headend/tls/access.ts";
import { certifyBox } from "../../../src/headend/tls/authority.ts";
import { refuseRevoked, writeBroker } from "../../../src/headend/tls/broker.ts";
import { headendNames } from "../../../src/headend/tls/mosquitto.ts";
import {
	downTopic,
	headTopic,
	qualityTopic,
	upTopic,
} from "../../../src/wire/topics.ts";
import { Happenings, heard, REGION } from "../../control/operator.ts";
import { days, newPapers } from "./papers.ts";
import {
	enter,
	newClient,
	newScene,
	type Scene,
	startMosquitto,
} from "./shipped.ts";

const NOT_AUTHORIZED = 0x87;
/** How TLS ends for one who is not let in. */
const REFUSED = { code: /^(ERR_SSL_|ECONNRESET|EPIPE)/ };
const TAKEN_OVER = 0x8e;

/** A session that outlives its connection, in either version of MQTT. */
const LASTING: Record<string, IClientOptions> = {
	"MQTT 5": {
		...{ protocolVersion: 5, clean: false },
		properties: { sessionExpiryInterval: 600 },
	},
	"MQTT 3.1.1": { protocolVersion: 4, clean: false },
};

/** The headend's connection under one of its names. */
async function headend(t: Test, scene: Scene, which: 0 | 1) {
	const access = await headendAccess(scene.operator);
	const clientId = headendNames(scene.operator.network)[which];
	const { cert = "", key = "" } = (await access.tls?.(clientId)) ?? {};
	return await enter(t, scene, undefined, { cert, key, clientId });
}

t.test("a box reaches its own topics and nobody else's", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene);
	const [a, b] = [await newClient(scene.papers), await newClient(scene.papers)];
	const one = await enter(t, scene, a);
	const other = await enter(t, scene, b);
	const ear = await headend(t, scene, 0);
	await ear.subscribeAsync("larder/v1/box/+/up/#", { qos: 1 });
	const mouth = await headend(t, scene, 1);

	for (const topic of [
		upTopic(b.box, "state"),
		downTopic(b.box, "command"),
		downTopic(a.box, "command"),
		headTopic(REGION),
		`larder/v1/enrol/${a.box}/up/request`,
		"elsewhere",
	])
		await t.rejects(
			one.publishAsync(topic, "x", { qos: 1, retain: true }),
			{ code: NOT_AUTHORIZED },
			topic,
		);
	await one.publishAsync(upTopic(a.box, "state"), "a's", { qos: 1 });
	await ear.got.until((it) => it === `${upTopic(a.box, "state")} a's`);
	t.equal(ear.got.all.length, 1);
	const quality = qualityTopic(REGION);
	await ear.subscribeAsync(quality, { qos: 1 });
	await other.subscribeAsync(quality, { qos: 1 });
	await one.publishAsync(quality, "anybody's", { qos: 1 });
	await ear.got.until((it) => it === `${quality} anybody's`);

	// Mosquitto's acl_file grants every subscription and keeps what is not allowed from coming.
	const retained = downTopic(b.box, "desired");
	await mouth.publishAsync(retained, "b's", { qos: 1, retain: true });
	for (const filter of ["#", "larder/v1/box/+/down/#", retained, "$share/x/#"])
		await one.subscribeAsync(filter, { qos: 1 });
	await other.subscribeAsync([retained, downTopic(b.box, "command")], {
		qos: 1,
	});
	await other.got.until((it) => it.endsWith("b's"));
	await mouth.publishAsync(downTopic(b.box, "command"), "b's too", { qos: 1 });
	await other.got.until((it) => it.endsWith("b's too"));
	await one.publishAsync(upTopic(a.box, "fill"), "a's", { qos: 1 });
	await mouth.publishAsync(headTopic(REGION), "all's", { qos: 1 });
	await one.got.until((it) => it.endsWith("all's"));
	t.same(
		new Set(one.got.all),
		new Set([`${headTopic(REGION)} all's`]),
		"nothing of b's, nothing that goes up",
	);
	t.notOk(other.got.all.some((it) => it.startsWith(quality)));
	await t.rejects(
		ear.publishAsync(downTopic(a.box, "command"), "x", { qos: 1 }),
		{ code: NOT_AUTHORIZED },
		"the headend's ear does not speak",
	);
});

t.test("a box cannot take another's client id", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene);
	const [a, b] = [await newClient(scene.papers), await newClient(scene.papers)];
	const mouth = await headend(t, scene, 1);
	const lasting = LASTING["MQTT 5"];
	const first = await enter(t, scene, b, lasting);
	await first.subscribeAsync(downTopic(b.box, "command"), { qos: 1 });
	let ended = false;
	first.on("close", () => {
		ended = true;
	});
	const thief = await enter(t, scene, a, { clientId: b.box, clean: true });
	await thief.subscribeAsync(downTopic(b.box, "command"), { qos: 1 });
	await mouth.publishAsync(downTopic(b.box, "command"), "1", { qos: 1 });
	await first.got.until((it) => it.endsWith(" 1"));
	t.notOk(ended, "its session goes on");
	await first.endAsync();
	await mouth.publishAsync(downTopic(b.box, "command"), "2", { qos: 1 });
	await enter(t, scene, a, { clientId: b.box, clean: true });
	const again = await enter(t, scene, b, lasting);
	await again.got.until((it) => it.endsWith(" 2"));
	t.same(thief.got.all, []);
});

t.test("who has no good certificate does not get in", async (t) => {
	const scene = await newScene(t);
	const broker = await startMosquitto(t, scene);
	const { papers, operator } = scene;
	await t.rejects(enter(t, scene, undefined, { clientId: "x" }), REFUSED);
	const late = await newClient(papers, days(-30, -1));
	await t.rejects(enter(t, scene, late), REFUSED, "expired");
	const early = await newClient(papers, days(1, 30));
	await t.rejects(enter(t, scene, early), REFUSED, "not yet valid");
	const stranger = await newClient(await newPapers());
	await t.rejects(enter(t, scene, stranger), REFUSED, "of another network");

	const [gone, stays] = [await newClient(papers), await newClient(papers)];
	const before = await enter(t, scene, gone);
	await refuseRevoked(operator, [gone.box]);
	await broker.reload();
	await t.rejects(enter(t, scene, gone), REFUSED, "revoked");
	// But what lives is left.
	await before.publishAsync(upTopic(gone.box, "fill"), "x", { qos: 1 });
	await enter(t, scene, stays);
	await headend(t, scene, 0);
});

for (const [version, lasting] of Object.entries(LASTING)) {
	t.test(`a box's session is ended: ${version}`, async (t) => {
		const scene = await newScene(t);
		const broker = await startMosquitto(t, scene);
		const shown = await newClient(scene.papers);
		const client = await enter(t, scene, shown, lasting);
		let reason: number | undefined;
		client.on("disconnect", (packet) => {
			reason = packet.reasonCode;
		});
		const closed = new Promise<void>((resolve) => {
			client.once("close", () => resolve());
		});
		await refuseRevoked(scene.operator, [shown.box]);
		await broker.reload();
		const own = upTopic(shown.box, "fill");
		await client.publishAsync(own, "still here", { qos: 1 });
		await endSession(await headendAccess(scene.operator), shown.box);
		await closed;
		// Mosquitto 2.0.11 hangs up without a word; newer ones say why in MQTT 5.
		t.equal(reason ?? TAKEN_OVER, TAKEN_OVER);
		await t.rejects(enter(t, scene, shown, lasting), REFUSED);
	});

	t.test(`a session that sleeps is ended: ${version}`, async (t) => {
		const scene = await newScene(t);
		await startMosquitto(t, scene);
		const shown = await newClient(scene.papers);
		const mouth = await headend(t, scene, 1);
		const topic = downTopic(shown.box, "command");
		const before = await enter(t, scene, shown, lasting);
		await before.subscribeAsync(topic, { qos: 1 });
		await before.endAsync();
		await mouth.publishAsync(topic, "queued", { qos: 1 });
		await endSession(await headendAccess(scene.operator), shown.box);
		const after = await enter(t, scene, shown, lasting);
		await after.subscribeAsync(topic, { qos: 1 });
		await mouth.publishAsync(topic, "new", { qos: 1 });
		await after.got.until((it) => it.endsWith(" new"));
		t.same(after.got.all, [`${topic} new`]);
	});
}

t.test("a broker that is away ends no session, and it is said", async (t) => {
	const scene = await newScene(t);
	const { box } = await newClient(scene.papers);
	await t.rejects(endSession(await headendAccess(scene.operator), box), {
		code: "BROKER_FAILED",
		cause: { code: "ECONNREFUSED" },
	});
});

t.test("the headend comes in by certificates of its own", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene);
	const access = await headendAccess(scene.operator);
	const lines = new Happenings<string>();
	for (const clientId of headendNames(scene.operator.network)) {
		const session = new MqttSession({ ...access, clientId, log: heard(lines) });
		t.teardown(() => session.close());
		session.start();
	}
	const isUp = (line: string) => line.startsWith("broker connected");
	await lines.until(() => lines.all.filter(isUp).length === 2);
});

t.test("a box shows its newest certificate at every attempt", async (t) => {
	const scene = await newScene(t);
	await startMosquitto(t, scene);
	const { papers, operator } = scene;
	const { box, cert, key } = await newClient(papers, days(-31, -1));
	const lease = { cert, key };
	const { url } = operator.config.broker;
	const access = await brokerAccess(
		{ url },
		{
			ca: papers.ca,
			show: async () => lease,
			time: () => ({ earliest: 0, latest: Number.POSITIVE_INFINITY }),
		},
	);
	const lines = new Happenings<string>();
	const session = new MqttSession({
		...{ ...access, clientId: box, log: heard(lines) },
		subscriptions: [downTopic(box, "command")],
		timing: { base: 20, cap: 100 },
	});
	t.teardown(() => session.close());
	session.start();
	await lines.until((line) => line.includes("certificate expired"));
	lease.cert = await certifyBox(papers.authority, box, days(-1, 30));
	await lines.until((line) => line.startsWith("broker connected"));
	await session.publish(upTopic(box, "fill"), Buffer.from("x"));
});

t.test("written again, only certificates are new", async (t) => {
	const scene = await newScene(t);
	const { operator, folder, ports } = scene;
	const path = (name: string) => join(folder.dir, name);
	const read = (name: string) => readFile(path(name), "utf8");
	t.equal((await stat(path("server.pem"))).mode & 0o777, 0o600);
	const [conf, server, crl] = [
		await read("mosquitto.conf"),
		await read("server.pem"),
		await read("crl.pem"),
	];
	await writeFile(path("mosquitto.conf"), `${conf}# mine\n`);
	const settings = { ...ports, user: "mosquitto" };
	const named = await writeBroker(operator, {
		...settings,
		hosts: ["a.example"],
	});
	t.same(named.hosts, ["127.0.0.1", "a.example"]);
	const again = await writeBroker(operator, { ...settings, hosts: [] });
	t.same(again.hosts, named.hosts, "hosts are kept");
	t.equal(await read("mosquitto.conf"), `${conf}# mine\n`);
	t.equal(await read("crl.pem"), crl);
	t.not(await read("server.pem"), server);
	const out = join(t.testdirName, "out");
	await mkdir(out);
	t.equal(
		(await writeBroker(operator, { ...settings, hosts: [], out })).dir,
		out,
	);
	t.match(
		await readFile(join(out, "acl"), "utf8"),
		headendNames(operator.network)[0],
	);
});
