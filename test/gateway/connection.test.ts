import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { connect, type Socket } from "node:net";
import t from "tap";
import { KiB, MiB } from "../../src/base/units.ts";
import { film, open, PATH, TITLE } from "./scene.ts";
import { pattern, Shelf } from "./shelf.ts";
import { exchange, request as lineOf, parse, send } from "./wire.ts";

t.test("a slow player holds the read back", async (t) => {
	const size = 256 * MiB;
	const chunk = Buffer.alloc(256 * KiB);
	let made = 0;
	const shelf = film(async function* (_, length) {
		for (; made < length; made += chunk.byteLength) yield chunk;
	}, size);
	const { port } = await open(t, shelf);
	const socket = await send(port, "GET", PATH, { connection: "close" });
	let taken = 0;
	let ahead = 0;
	for await (const bytes of socket) {
		ahead = Math.max(ahead, made - taken);
		taken += bytes.byteLength;
	}
	t.ok(taken > size, "all of it came");
	t.ok(
		ahead < 32 * MiB,
		`${ahead} bytes ahead: what sockets hold, not the film`,
	);
});

t.test("500 players at once", async (t) => {
	const players = 500;
	const size = 64 * KiB;
	const bytes = pattern(size * players);
	const everybody = Promise.withResolvers<void>();
	let here = 0;
	const shelf = film(async function* (offset, length) {
		if (++here === players) everybody.resolve();
		await everybody.promise;
		yield bytes.subarray(offset, offset + length / 2);
		yield bytes.subarray(offset + length / 2, offset + length);
	}, bytes.byteLength);
	const { port } = await open(t, shelf);
	const answers = await Promise.all(
		Array.from({ length: players }, (_, i) =>
			exchange(port, "GET", PATH, {
				range: `bytes=${i * size}-${(i + 1) * size - 1}`,
			}),
		),
	);
	for (const [i, { status, body }] of answers.entries()) {
		const right = bytes.subarray(i * size, (i + 1) * size).equals(body);
		if (status !== 206 || !right) t.fail(`player ${i} got other bytes`);
	}
	t.equal(here, players);
});

t.test("answers without a body keep the connection in step", async (t) => {
	const shelf = new Shelf();
	shelf.add(TITLE, "Film", {
		"film.mp4": pattern(1000),
		"empty.vtt": pattern(0),
	});
	const { port } = await open(t, shelf);
	const agent = new Agent({ keepAlive: true, maxSockets: 1 });
	t.teardown(() => agent.destroy());
	const ask = async (path: string, method = "GET", headers = {}) => {
		const req = request({ port, agent, path, method, headers });
		req.end();
		const [res] = (await once(req, "response")) as [IncomingMessage];
		const body = Buffer.concat(await res.toArray());
		return {
			reused: req.reusedSocket,
			status: res.statusCode,
			size: body.length,
		};
	};
	const asked = [
		await ask(PATH),
		await ask(PATH, "HEAD"),
		await ask(PATH, "GET", { "if-none-match": "*" }),
		await ask(PATH, "GET", { "if-match": '"x"' }),
		await ask(PATH, "OPTIONS"),
		await ask(`/titles/${TITLE}/empty.vtt`),
		await ask(`/titles/${TITLE}/`),
		await ask("/", "HEAD"),
		await ask(PATH, "GET", { range: "bytes=5000-" }),
		await ask(PATH, "GET", { range: "bytes=-7" }),
		await ask("/sources", "HEAD"),
	];
	t.strictSame(
		asked.map(({ status }) => status),
		[200, 200, 304, 412, 204, 200, 307, 200, 416, 206, 200],
	);
	t.strictSame(
		asked.map(({ reused }) => reused),
		asked.map((_, i) => i > 0),
	);
	t.equal(asked.at(-2)?.size, 7);
});

t.test("who is slow with a request is let go, players are not", async (t) => {
	const more = Promise.withResolvers<void>();
	const shelf = film(async function* (_, length) {
		yield Buffer.alloc(10);
		await more.promise;
		yield Buffer.alloc(length - 10);
	});
	const { port } = await open(t, shelf, { patience: 200 });
	const player = await send(port, "GET", PATH, { connection: "close" });
	await once(player, "data");
	const slow = ["", "GET / HT", "GET / HTTP/1.1\r\nHost: localhost\r\nX: "];
	const body =
		"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n";
	await Promise.all(
		[...slow, body].map(async (start) => {
			const socket = connect(port, "127.0.0.1");
			socket.write(start);
			// A byte now and then does not prolong it.
			const drip = setInterval(() => socket.write("x"), 20);
			socket.on("error", () => undefined);
			await new Promise((resolve) => socket.resume().once("close", resolve));
			clearInterval(drip);
		}),
	);
	more.resolve();
	let rest = 0;
	for await (const chunk of player) rest += chunk.byteLength;
	t.equal(rest, 990);
});

t.test("connections beyond the cap are closed at once", async (t) => {
	const { port, count } = await open(t, new Shelf(), { patience: 60_000 });
	const sockets: Socket[] = [];
	t.teardown(() => sockets.forEach((socket) => void socket.destroy()));
	const turned = Promise.withResolvers<void>();
	for (let i = 0; i < 1100; i++) {
		const socket = connect(port, "127.0.0.1");
		sockets.push(socket);
		socket.on("error", () => undefined);
		socket.resume().once("close", turned.resolve);
		// One after the other: a listener's queue is short.
		if (i < 1024) await once(socket, "connect");
	}
	await turned.promise;
	t.ok(((await count("larder_gateway_turned_away_total")) ?? 0) > 0);
	const [first] = sockets;
	first?.write("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
	t.match(String((await once(first!, "data"))[0]), /^HTTP\/1\.1 200/);
});

/** A title whose reads are counted, as many as run at once too; each gives all that is asked for once `free` is resolved. */
function counted(free: Promise<void> = Promise.resolve()) {
	const bytes = pattern(1000);
	const reads = { begun: 0, running: 0, most: 0 };
	const shelf = film(async function* (offset, length, signal) {
		reads.begun++;
		reads.most = Math.max(reads.most, ++reads.running);
		try {
			const end = new AbortController();
			const either = AbortSignal.any([signal, end.signal]);
			await Promise.race([free, once(either, "abort")]);
			end.abort();
			signal.throwIfAborted();
			yield bytes.subarray(offset, offset + length);
		} finally {
			reads.running--;
		}
	});
	return { shelf, reads, bytes };
}

t.test("what is asked in one go is answered in order", async (t) => {
	const { shelf, reads, bytes } = counted();
	const { port } = await open(t, shelf);
	const socket = connect(port, "127.0.0.1");
	const ask = (method: string, headers: Record<string, string>) =>
		lineOf(port, method, PATH, headers);
	socket.write(
		[
			ask("GET", { range: "bytes=0-99" }),
			ask("HEAD", {}),
			ask("GET", { range: "bytes=5000-" }),
			ask("GET", { "if-none-match": "*" }),
			ask("POST", { "content-length": "3" }),
			`abc${ask("GET", { range: "bytes=-100", connection: "close" })}`,
		].join(""),
	);
	let rest: Buffer = Buffer.concat(await socket.toArray());
	const statuses: number[] = [];
	const bodies: Buffer[] = [];
	while (rest.length > 0) {
		const { status, headers, body } = parse(rest);
		const isBare = status === 304 || statuses.length === 1;
		const length = isBare ? 0 : Number(headers["content-length"]);
		statuses.push(status);
		bodies.push(body.subarray(0, length));
		rest = body.subarray(length);
	}
	t.same(statuses, [206, 200, 416, 304, 405, 206]);
	t.ok(bodies[0]?.equals(bytes.subarray(0, 100)));
	t.ok(bodies.at(-1)?.equals(bytes.subarray(900)));
	t.equal(reads.most, 1, "one thing is read at a time");
});

t.test("who asks much in one go and goes leaves nothing behind", async (t) => {
	const free = Promise.withResolvers<void>();
	const { shelf, reads } = counted(free.promise);
	const { port, count, gateway } = await open(t, shelf);
	const socket = connect(port, "127.0.0.1");
	socket.write(lineOf(port, "GET", PATH).repeat(20));
	while (reads.begun === 0) await new Promise(setImmediate);
	t.equal(await count("larder_gateway_active_requests"), 1);
	socket.destroy();
	while ((await count("larder_gateway_aborted_total")) !== 20)
		await new Promise(setImmediate);
	t.same(reads, { begun: 1, running: 0, most: 1 });
	t.equal(await count("larder_gateway_active_requests"), 0);
	free.resolve();
	await gateway.close();
});

t.test(
	"who asks for more in one go than anybody needs is cut off",
	async (t) => {
		const free = Promise.withResolvers<void>();
		const { shelf, reads } = counted(free.promise);
		const { port, count } = await open(t, shelf);
		const socket = connect(port, "127.0.0.1");
		socket.on("error", () => undefined);
		socket.write(lineOf(port, "GET", PATH).repeat(1000));
		await new Promise((resolve) => socket.resume().once("close", resolve));
		while ((await count("larder_gateway_active_requests")) !== 0)
			await new Promise(setImmediate);
		t.ok(reads.begun <= 1);
		free.resolve();
		t.equal((await exchange(port, "GET", PATH)).status, 200, "others go on");
	},
);

t.test("a connection lasts as long as the client says", async (t) => {
	const { shelf } = counted();
	const { port } = await open(t, shelf);
	const own = `Host: 127.0.0.1:${port}`;
	const ends = async (...lines: string[]) => {
		const socket = connect(port, "127.0.0.1");
		socket.write([...lines, own, "", ""].join("\r\n"));
		const [first] = (await once(socket, "data")) as [Buffer];
		const { headers } = parse(first);
		// One that is kept answers again.
		if (headers["connection"] === "keep-alive") {
			socket.write(lineOf(port, "HEAD", PATH, { connection: "close" }));
			await once(socket, "data");
		}
		await new Promise((resolve) => socket.resume().once("close", resolve));
		return headers["connection"];
	};
	t.equal(await ends(`HEAD ${PATH} HTTP/1.1`), "keep-alive");
	t.equal(await ends(`HEAD ${PATH} HTTP/1.1`, "Connection: close"), "close");
	t.equal(await ends(`HEAD ${PATH} HTTP/1.0`), "close");
	const kept = "Connection: keep-alive";
	t.equal(await ends(`HEAD ${PATH} HTTP/1.0`, kept), "keep-alive");
});
