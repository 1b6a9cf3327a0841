import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import type { GuardedStream } from "../../src/swarm/guard.ts";
import { dialTcp, listenTcp, type TcpPorts } from "../../src/swarm/tcp.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";

t.setTimeout(60_000);

const mine = generateKeyPair();
const theirs = generateKeyPair();

function ports(onStream: (stream: GuardedStream) => void): TcpPorts {
	const onSocket = () => undefined;
	return { onSocket, onStranger: () => undefined, onStream, log: silent };
}

/** A listener with the key `theirs`, and the streams that got through to it. */
async function listen(t: Test) {
	const streams: GuardedStream[] = [];
	const taken = (stream: GuardedStream) => {
		stream.on("error", () => undefined);
		streams.push(stream);
	};
	const host = "127.0.0.1";
	const listener = await listenTcp(host, 0, theirs, ports(taken));
	t.teardown(() => listener.close());
	return { port: listener.port, streams };
}

async function raw(port: number): Promise<Socket> {
	const socket = connect(port, "127.0.0.1");
	socket.on("error", () => undefined);
	await once(socket, "connect");
	// Nothing is read of a socket in the tests, and one that is not read does not notice its end.
	socket.resume();
	return socket;
}

t.test("both sides know each other's key", async (t) => {
	const { port, streams } = await listen(t);
	const stream = await dialTcp("127.0.0.1", port, mine, theirs.publicKey);
	t.same(stream.remotePublicKey, theirs.publicKey);
	stream.write(Buffer.from("hello"));
	const [got] = await once(streams[0]!, "data");
	t.equal(got.toString(), "hello");
	t.same(streams[0]!.remotePublicKey, mine.publicKey);
	stream.destroy();
});

t.test("an impostor on the port does not get through", async (t) => {
	const { port, streams } = await listen(t);
	const other = generateKeyPair().publicKey;
	await t.rejects(dialTcp("127.0.0.1", port, mine, other), {
		message: "the handshake failed",
	});
	t.equal(streams.length, 0);
});

t.test("nothing there, and somebody else there", async (t) => {
	const server = createServer((socket) => {
		socket.on("error", () => undefined);
		socket.resume();
		socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const { port } = server.address() as { port: number };
	await t.rejects(dialTcp("127.0.0.1", port, mine, theirs.publicKey));
	await new Promise((resolve) => server.close(resolve));
	await t.rejects(dialTcp("127.0.0.1", port, mine, theirs.publicKey), {
		cause: { code: "ECONNREFUSED" },
	});
});

t.test("a silent socket is dropped, on either side", async (t) => {
	const { port, streams } = await listen(t);
	const socket = await raw(port);
	const mute = createServer();
	await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
	const muted = new Promise<Socket>((resolve) =>
		mute.once("connection", resolve),
	);
	const address = mute.address() as { port: number };
	const dialled = dialTcp("127.0.0.1", address.port, mine, theirs.publicKey);
	await Promise.all([
		once(socket, "close"),
		t.rejects(dialled, { cause: { message: /no handshake within/ } }),
	]);
	(await muted).destroy();
	mute.close();
	t.equal(streams.length, 0);
});

t.test("a long frame before the handshake ends the socket", async (t) => {
	const { port, streams } = await listen(t);
	const before = process.memoryUsage().arrayBuffers;
	const sockets = await Promise.all(
		Array.from({ length: 100 }, () => raw(port)),
	);
	const closed = sockets.map((socket) => once(socket, "close"));
	// 16 MiB less one, and the first byte of it.
	for (const socket of sockets) {
		socket.write(Buffer.from([0xff, 0xff, 0xff, 0]));
	}
	await Promise.all(closed);
	const grown = process.memoryUsage().arrayBuffers - before;
	t.ok(grown < 50e6, `${grown} bytes were set aside for 1.6 GB`);
	t.equal(streams.length, 0);
});

t.test("a port that is taken, an address that is not ours", async (t) => {
	const { port } = await listen(t);
	const again = (host: string) =>
		listenTcp(
			host,
			port,
			mine,
			ports(() => undefined),
		);
	await t.rejects(again("127.0.0.1"), { code: "PORT_TAKEN" });
	await t.rejects(again("192.0.2.1"), { code: "CONFIG_INVALID" });
});
