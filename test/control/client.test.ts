import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { MqttSession } from "../../src/control/client.ts";
import { BROKERS } from "./brokers.ts";
import { Happenings, heard, newBox } from "./operator.ts";

const CONNACK_5 = Buffer.from("2003000000", "hex");

/** A server that answers each read as the test wants. */
async function serve(
	t: Test,
	answer: (socket: Socket, bytes: Buffer) => void,
): Promise<string> {
	const sockets = new Set<Socket>();
	const server = createServer((socket) => {
		sockets.add(socket);
		socket.on("error", () => undefined);
		socket.on("data", (bytes) => answer(socket, bytes));
	}).listen(0, "127.0.0.1");
	await once(server, "listening");
	t.teardown(() => {
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error();
	return `mqtt://127.0.0.1:${address.port}`;
}

function session(
	t: Test,
	url: string,
	options: Partial<ConstructorParameters<typeof MqttSession>[0]> = {},
) {
	const lines = new Happenings<string>();
	const session = new MqttSession({
		url,
		clientId: newBox(),
		log: heard(lines),
		timing: { base: 20, cap: 100 },
		...options,
	});
	t.teardown(() => session.close());
	session.start();
	return { session, lines };
}

t.test("a broker that floods one packet without end is left", async (t) => {
	let written = 0;
	const url = await serve(t, (socket, bytes) => {
		if (bytes[0] !== 0x10) return;
		socket.write(CONNACK_5);
		// PUBLISH, 200 MB long by its own word.
		socket.write(Buffer.from("3080a2af5f", "hex"));
		const chunk = Buffer.alloc(64 * 1024);
		const pour = () => {
			while (!socket.destroyed && written < 200e6) {
				written += chunk.byteLength;
				if (!socket.write(chunk)) return;
			}
		};
		socket.on("drain", pour);
		pour();
	});
	const { lines } = session(t, url, { timing: { base: 1e9, cap: 1e9 } });
	await lines.until((line) => line.startsWith("broker lost"));
	t.ok(written < 40e6, `${written} bytes were read`);
});

t.test("a goodbye that nobody acknowledges", async (t) => {
	const packets = new Happenings<number>();
	const ended = Promise.withResolvers<void>();
	const url = await serve(t, (socket, bytes) => {
		packets.add(bytes[0] ?? 0);
		if (bytes[0] === 0x10) socket.write(CONNACK_5);
		socket.on("close", () => ended.resolve());
	});
	const { session: one, lines } = session(t, url, {
		will: () => ({ topic: "gone", payload: Buffer.from("gone") }),
	});
	await lines.until((line) => line.startsWith("broker connected"));
	const publish = one.publish("t", Buffer.from("p"));
	await Promise.all([
		t.rejects(publish, { code: "BROKER_FAILED" }),
		one.close(),
		ended.promise,
	]);
	t.notOk(packets.all.includes(0xe0), "no DISCONNECT: the will shall speak");
});

t.test("a server that hangs up on everybody is tried again", async (t) => {
	const hung = new Happenings<number>();
	const url = await serve(t, (socket) => {
		hung.add(hung.all.length);
		socket.destroy();
	});
	const { session: one } = session(t, url);
	await hung.until((count) => count === 4);
	t.equal(one.connected, false);
	await t.rejects(one.publish("t", Buffer.alloc(1)), { code: "BROKER_FAILED" });
});

t.test("a connection that may be gone is made anew", async (t) => {
	const connects = new Happenings<number>();
	const url = await serve(t, (socket, bytes) => {
		if (bytes[0] !== 0x10) return;
		connects.add(connects.all.length);
		// The first one waits for its answer in vain.
		if (connects.all.length > 1) socket.write(CONNACK_5);
	});
	const { session: one, lines } = session(t, url);
	const until = (count: number) => connects.until((each) => each === count);
	await until(0);
	one.reconnect();
	await until(1);
	await lines.until((line) => line.startsWith("broker connected"));
	one.reconnect();
	await until(2);
	await one.close();
	one.reconnect();
	t.equal(connects.all.length, 3, "not once it is closed");
});

t.test("a broker that acknowledges nothing is left", async (t) => {
	const connects = new Happenings<number>();
	const url = await serve(t, (socket, bytes) => {
		if (bytes[0] !== 0x10) return;
		connects.add(connects.all.length);
		socket.write(CONNACK_5);
	});
	const { session: one, lines } = session(t, url, {
		timing: { base: 20, cap: 100, silence: 100 },
	});
	await lines.until((line) => line.startsWith("broker connected"));
	await t.rejects(one.publish("t", Buffer.from("told")), {
		code: "BROKER_FAILED",
	});
	t.equal(one.trouble, "the broker acknowledges nothing");
	await connects.until((each) => each === 1);
});

t.test("an address that is none", async (t) => {
	for (const url of ["", "larder.example", "gopher://larder.example"])
		t.throws(() => session(t, url), { code: "BROKER_FAILED" }, url);
});

t.test("a certificate that is none is told, and read again", async (t) => {
	const asked = new Happenings<string>();
	const clientId = newBox();
	const { session: one, lines } = session(t, "mqtts://127.0.0.1:9", {
		clientId,
		tls: (name) => {
			asked.add(name);
			if (asked.all.length === 1) throw new Error("not there yet");
			return { cert: "no PEM", key: "no PEM" };
		},
	});
	await lines.until((line) => line.includes("not there yet"));
	await lines.until((line) => line.includes("PEM"));
	await asked.until(() => asked.all.length === 4);
	t.equal(asked.all[3], clientId);
	t.equal(one.connected, false);
});

for (const [name, make] of Object.entries(BROKERS))
	t.test(
		`a slow reader holds up the broker, not its own memory: ${name}`,
		async (t) => {
			const broker = await make();
			await broker.start();
			t.teardown(() => broker.stop());
			const open = Promise.withResolvers<void>();
			const got = new Happenings<string>();
			let busy = 0;
			const { lines } = session(t, broker.url, {
				clientId: "headend-ear",
				subscriptions: ["larder/v1/box/+/up/#"],
				onMessage: async (_topic, payload) => {
					t.equal(++busy, 1);
					got.add(payload.toString());
					await open.promise;
					busy--;
				},
			});
			await lines.until((line) => line.startsWith("broker connected"));
			const mouth = session(t, broker.url, { clientId: "headend-mouth" });
			await mouth.lines.until((line) => line.startsWith("broker connected"));
			const topic = `larder/v1/box/${newBox()}/up/fill`;
			for (const text of ["1", "2", "3"])
				await mouth.session.publish(topic, Buffer.from(text));
			await got.until((text) => text === "1");
			t.same(got.all, ["1"]);
			open.resolve();
			await got.until((text) => text === "3");
			t.same(got.all, ["1", "2", "3"]);
		},
	);
