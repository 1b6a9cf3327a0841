import { once } from "node:events";
import { Registry } from "prom-client";
import t from "tap";
import type { OpenTitle } from "../../src/act/ports.ts";
import { type ErrorCode, LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import { film, open, PATH, TITLE } from "./scene.ts";
import { box, Shelf } from "./shelf.ts";
import { exchange, parse, send } from "./wire.ts";

/** A page on this machine. */
const SITE = "http://localhost:3000";

t.test("the first bytes leave before the second are there", async (t) => {
	const more = Promise.withResolvers<void>();
	const shelf = film(async function* (_, length) {
		yield Buffer.alloc(10, "a");
		await more.promise;
		yield Buffer.alloc(length - 10, "b");
	});
	const { port, count } = await open(t, shelf);
	const socket = await send(port, "GET", PATH, { connection: "close" });
	const [first] = await once(socket, "data");
	const head = parse(first);
	t.equal(head.status, 200);
	t.equal(head.body.toString(), "a".repeat(10), "with the header, in one go");
	more.resolve();
	let rest = 0;
	for await (const chunk of socket) rest += chunk.byteLength;
	t.equal(rest, 990);
	t.equal(await count("larder_gateway_sent_bytes_total"), 1000);
});

t.test("what a player says of itself comes to the title", async (t) => {
	const shelf = film(async function* (_, length) {
		yield Buffer.alloc(length);
	});
	const { port, count } = await open(t, shelf);
	const ask = async (query: string, headers: Record<string, string> = {}) => {
		const path = `${PATH}${query}`;
		t.equal((await exchange(port, "GET", path, headers)).status, 200);
		return shelf.words.at(-1);
	};
	const word = { bl: 4200, bs: true, sid: "me" };
	t.same(await ask("?CMCD=bl%3D4200%2Cbs%2Csid%3D%22me%22"), word);
	const status = { "CMCD-Request": "bl=4200", "CMCD-Status": "bs" };
	t.same(await ask("", status), { bl: 4200, bs: true });
	t.equal(await ask(""), undefined);
	t.equal(await count("larder_gateway_cmcd_ignored_total"), 0);
	t.equal(await ask("?CMCD=bl%3Dmuch"), undefined, "it is served all the same");
	t.equal(await count("larder_gateway_cmcd_ignored_total"), 1);
});

const refusals: readonly [ErrorCode, number, boolean][] = [
	["TITLE_UNAVAILABLE", 503, true],
	["TITLE_KEY_UNAVAILABLE", 503, true],
	["TITLE_KEY_DENIED", 403, false],
	["TITLE_UNKNOWN", 404, false],
	["MANIFEST_INVALID", 502, false],
	["STORE_UNUSABLE", 500, false],
];
for (const [code, status, retry] of refusals) {
	t.test(`${code} before the first byte`, async (t) => {
		const closed = film(() => {
			throw new Error("never read");
		});
		closed.addFailing(TITLE, "Film", () => new LarderError(code, "why"));
		const unread = film(async function* () {
			yield* [];
			throw new LarderError(code, "why");
		});
		for (const shelf of [closed, unread]) {
			const { port, count } = await open(t, shelf);
			const answer = await exchange(port, "GET", PATH, { origin: SITE });
			t.equal(answer.status, status);
			t.match(JSON.parse(answer.body.toString()), { code, message: "why" });
			t.equal("retry-after" in answer.headers, retry);
			t.equal(answer.headers["access-control-allow-origin"], SITE);
			t.equal(await count("larder_gateway_failures_total", { code }), 1);
		}
	});
}

t.test(
	"what is no LarderError is a fault of ours, told without details",
	async (t) => {
		const shelf = film(() => {
			throw new Error("secret");
		});
		const { port } = await open(t, shelf);
		const answer = await exchange(port, "GET", PATH);
		t.equal(answer.status, 500);
		t.equal(JSON.parse(answer.body.toString()).code, "INTERNAL_FAULT");
		t.notMatch(answer.body.toString(), "secret");
	},
);

const breaks: readonly [string, OpenTitle["read"], ErrorCode][] = [
	[
		"an error",
		async function* () {
			yield Buffer.alloc(10);
			await new Promise(setImmediate);
			throw new LarderError("TITLE_UNAVAILABLE", "gone");
		},
		"TITLE_UNAVAILABLE",
	],
	[
		"too few bytes",
		async function* () {
			yield Buffer.alloc(10);
			await new Promise(setImmediate);
		},
		"INTERNAL_FAULT",
	],
	[
		"too many bytes",
		async function* (_, length) {
			yield Buffer.alloc(10);
			await new Promise(setImmediate);
			yield Buffer.alloc(length);
			await new Promise(setImmediate);
		},
		"INTERNAL_FAULT",
	],
];
for (const [name, read, code] of breaks) {
	t.test(`${name} after the first byte cuts the transfer`, async (t) => {
		const { port, count } = await open(t, film(read));
		const answer = await exchange(port, "GET", PATH);
		t.equal(answer.status, 200);
		t.equal(answer.headers["content-length"], "1000");
		t.equal(answer.body.byteLength, 10, "shorter than promised");
		t.equal(await count("larder_gateway_failures_total", { code }), 1);
		await t.rejects(
			fetch(`http://127.0.0.1:${port}${PATH}`).then((r) => r.arrayBuffer()),
			"a client sees that",
		);
	});
}

t.test("a player that goes away ends the read at once", async (t) => {
	const reading = Promise.withResolvers<void>();
	const ended = Promise.withResolvers<string>();
	const shelf = film(async function* (_offset, _length, signal) {
		try {
			yield Buffer.alloc(10);
			reading.resolve();
			await once(signal, "abort");
			signal.throwIfAborted();
		} finally {
			ended.resolve(signal.aborted ? "aborted" : "left");
		}
	});
	const { port, count } = await open(t, shelf);
	const socket = await send(port, "GET", PATH);
	await reading.promise;
	socket.destroy();
	t.equal(await ended.promise, "aborted");
	await new Promise(setImmediate);
	t.equal(await count("larder_gateway_aborted_total"), 1);
	t.equal(await count("larder_gateway_active_requests"), 0);
});

t.test("a player that goes away before the first byte, too", async (t) => {
	const opening = Promise.withResolvers<AbortSignal>();
	const shelf = film(() => {
		throw new Error("never read");
	});
	shelf.open = async (_, signal) => {
		opening.resolve(signal);
		await once(signal, "abort");
		throw signal.reason;
	};
	const { port, count } = await open(t, shelf);
	const socket = await send(port, "GET", PATH);
	const signal = await opening.promise;
	socket.destroy();
	if (!signal.aborted) await once(signal, "abort");
	await new Promise(setImmediate);
	t.equal(await count("larder_gateway_aborted_total"), 1);
	t.equal(await count("larder_gateway_failures_total"), undefined);
});

t.test("close ends reads and connections", async (t) => {
	let ended = false;
	const shelf = film(async function* (_offset, _length, signal) {
		try {
			yield Buffer.alloc(10);
			await once(signal, "abort");
		} finally {
			await new Promise(setImmediate);
			ended = true;
		}
	});
	const { gateway, port } = await open(t, shelf);
	const reader = await send(port, "GET", PATH);
	const watcher = await send(port, "GET", "/sources");
	const idle = await send(port, "GET", "/livez");
	await Promise.all([reader, watcher, idle].map((s) => once(s, "data")));
	const gone = Promise.all(
		[reader, watcher, idle].map((s) => once(s.resume(), "close")),
	);
	await gateway.close();
	t.ok(ended, "the read has ended, its cleaning up included");
	await gone;
	await t.rejects(fetch(`http://127.0.0.1:${port}/livez`), "nobody listens");
});

t.test("a taken port is named", async (t) => {
	const { port } = await open(t, new Shelf());
	await t.rejects(
		startGateway({
			host: "127.0.0.1",
			port,
			library: new Shelf(),
			time: timeOf(Date.now),
			registry: new Registry(),
			ready: () => ({ ready: true, why: "" }),
			box,
			log: silent,
		}),
		{ code: "PORT_TAKEN" },
	);
});

t.test("listens nowhere that others reach", async (t) => {
	for (const host of ["0.0.0.0", "::", "10.0.0.1", "localhost", "::1%lo"]) {
		await t.rejects(
			open(t, new Shelf(), { host }),
			{ code: "CONFIG_INVALID" },
			host,
		);
	}
});
