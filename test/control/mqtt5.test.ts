// What a box and a headend use of MQTT 5, at a broker that speaks it.
import { connectAsync } from "mqtt";
import t, { type Test } from "tap";
import { MqttSession } from "../../src/control/client.ts";
import { upTopic } from "../../src/wire/topics.ts";
import { RELAY_HOST, Relay } from "../relay.ts";
import { type Door, mosquitto } from "./brokers.ts";
import { heard, newBox, Operator } from "./operator.ts";
import { FAST, hear, levels, openDesk, openRig } from "./rig.ts";

t.setTimeout(60_000);

async function broker(t: Test, door: Door = {}) {
	const broker = await mosquitto(door);
	await broker.start();
	t.teardown(() => broker.stop());
	return broker;
}

/** A headend, and a box whose connection can be cut. */
async function scene(t: Test, willDelay = 1000) {
	const { url, port } = await broker(t);
	const operator = new Operator();
	const desk = await openDesk(t, url);
	const relay = await Relay.open(t, port);
	const rig = await openRig(t, `mqtt://${RELAY_HOST}:${port}`, operator, {
		timing: { ...FAST, willDelay },
	});
	const { box } = rig;
	const birth = await hear(desk, box, "state");
	const send = (level: "warn" | "debug", expiry: number) =>
		desk.dispatch.command(
			box,
			operator.command(box, { kind: "log-level", level }),
			expiry,
		);
	/** Cuts the box off for so long that the broker speaks its will. */
	const leave = async () => {
		relay.cut();
		return await hear(desk, box, "state", (it) => !it.online);
	};
	return { url, desk, relay, ...rig, birth, send, leave };
}

/** Resolves when so much time has gone by at the broker: somebody else's will says so. */
async function elapsed(t: Test, url: string, seconds: number): Promise<void> {
	const watch = await connectAsync(url, { protocolVersion: 5 });
	t.teardown(() => watch.endAsync());
	const topic = `larder/v1/box/${newBox()}/up/fill`;
	await watch.subscribeAsync(topic, { qos: 1 });
	const spoken = new Promise<void>((resolve) => {
		watch.once("message", () => resolve());
	});
	const mortal = await connectAsync(url, {
		protocolVersion: 5,
		reconnectPeriod: 0,
		properties: { sessionExpiryInterval: 60 },
		will: {
			...{ topic, payload: Buffer.from("gone"), qos: 1 },
			properties: { willDelayInterval: seconds },
		},
	});
	mortal.stream.destroy();
	await spoken;
}

t.test("what is sent while a box is away waits for it", async (t) => {
	const { desk, relay, box, orders, send, leave } = await scene(t);
	await leave();
	await send("warn", 60_000);
	t.same(orders.all, []);
	relay.door = "open";
	await orders.until(() => true);
	t.same(orders.all, [{ kind: "log-level", level: "warn" }]);
	t.match(await hear(desk, box, "response"), { ok: true });
});

t.test("a command that expires while a box is away never comes", async (t) => {
	const { url, relay, orders, send, leave } = await scene(t);
	await leave();
	await send("debug", 1000);
	await elapsed(t, url, 3);
	await send("warn", 60_000);
	relay.door = "open";
	await orders.until(() => true);
	t.same(orders.all, [{ kind: "log-level", level: "warn" }]);
});

t.test(
	"a will is spoken of a box that stays away, not of one that is soon back",
	async (t) => {
		const { desk, relay, box, birth, leave } = await scene(t, 3000);
		relay.cut();
		relay.door = "open";
		const back = await hear(desk, box, "state", (it) => it.since > birth.since);
		t.ok(back.online, "no will came before");
		const end = await leave();
		t.equal(end.since, back.since, "the first one never came");
	},
);

t.test(
	"what a broker does not let a box say is given up, with its reason",
	async (t) => {
		const acl =
			"topic readwrite larder/#\ntopic deny larder/v1/box/+/up/reported\n";
		const { url } = await broker(t, { acl });
		const desk = await openDesk(t, url);
		const { box, control, lines } = await openRig(t, url, new Operator());
		await hear(desk, box, "state");
		control.report({ epoch: 1, rev: 1, phase: "applied" });
		t.match(
			await lines.until((line) => line.includes("/up/reported failed")),
			/Not authorized/,
		);
		control.fill(levels(500));
		await hear(desk, box, "fill");
		t.ok(control.connected, "and nothing else is held up");
		const session = new MqttSession({
			...{ url, clientId: newBox(), timing: FAST },
			log: heard(lines),
		});
		t.teardown(() => session.close());
		const from = lines.all.length;
		session.start();
		await lines.until((line) => line.startsWith("broker connected"), from);
		await t.rejects(
			session.publish(upTopic(box, "reported"), Buffer.from("x")),
			{
				code: "BROKER_FAILED",
				cause: { code: 0x87 },
			},
		);
	},
);

t.test(
	"a broker that lets nobody listen is told of, with its reason",
	async (t) => {
		const rules = {
			defaultACLAccess: { publishClientSend: true, subscribe: false },
			...{ clients: [], groups: [], roles: [] },
		};
		const { url } = await broker(t, { rules });
		const { control, lines } = await openRig(t, url, new Operator());
		await lines.until((line) => line.startsWith("broker not reached"));
		t.equal(
			control.trouble,
			"not allowed to subscribe: Subscribe error: Not authorized",
		);
		t.equal(control.connected, false);
	},
);
