import { once } from "node:events";
import { rename, truncate, utimes, writeFile } from "node:fs/promises";
import http from "node:http";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { startOrigin } from "../../src/headend/origin.ts";
import {
	collect,
	NORTH,
	originFolder,
	originTable,
	TITLE,
} from "../origin/table.ts";

async function server(t: Test) {
	const dir = t.testdir();
	const files = await originFolder(dir);
	const origin = await startOrigin({
		host: "127.0.0.1",
		port: 0,
		dir,
		log: silent,
	});
	t.teardown(() => origin.close());
	return { dir, files, origin, base: `http://127.0.0.1:${origin.port}` };
}

type Answer = {
	status: number;
	headers: http.IncomingHttpHeaders;
	body: Buffer;
};

/** Sends the path as it is: `fetch` would tidy it up. */
async function ask(
	port: number,
	path: string,
	options: http.RequestOptions = {},
): Promise<Answer> {
	const request = http.request({ host: "127.0.0.1", port, path, ...options });
	request.end();
	const [response] = (await once(request, "response")) as [
		http.IncomingMessage,
	];
	return {
		status: response.statusCode ?? 0,
		headers: response.headers,
		body: await collect(response),
	};
}

t.test("serves the origin client", async (t) => {
	const { base, files } = await server(t);
	await originTable(t, base, files);
});

t.test("bytes are counted by title", async (t) => {
	const { origin, files } = await server(t);
	await ask(origin.port, `/${TITLE}/manifest`);
	await ask(origin.port, `/${TITLE}/0`, { headers: { range: "bytes=5-14" } });
	await ask(origin.port, `/${TITLE}/0`, { method: "HEAD" });
	await ask(origin.port, `/${files.ref}`);
	t.equal(origin.bytesSent, 50_000 + 10 + 9000);
	t.same([...origin.bytesByTitle], [[TITLE, 50_010]], "placements are of none");
});

t.test("the count is there for Prometheus, on this machine only", async (t) => {
	const { origin } = await server(t);
	await ask(origin.port, `/${TITLE}/manifest`);
	const scraped = await ask(origin.port, "/metrics");
	t.equal(scraped.status, 200);
	t.match(scraped.headers["content-type"], /^text\/plain/);
	t.match(scraped.body.toString(), /^larder_origin_sent_bytes_total 50000$/m);
	t.equal(origin.bytesSent, 50_000, "what is scraped is not counted");
	const headers = { "x-forwarded-for": "192.0.2.7" };
	t.equal((await ask(origin.port, "/metrics", { headers })).status, 404);
});

t.test("ranges, conditions and HEAD", async (t) => {
	const { origin, files } = await server(t);
	const shard = `/${TITLE}/0`;
	const size = files.shard.length;
	const get = (headers: http.OutgoingHttpHeaders, method = "GET") =>
		ask(origin.port, shard, { headers, method });
	const whole = await get({});
	const { etag = "" } = whole.headers;
	t.match(whole.headers, {
		"accept-ranges": "bytes",
		"content-length": String(size),
		"cache-control": /immutable/,
		etag: /^"[^"]+"$/,
	});
	for (const [range, first, last] of [
		["bytes=0-0", 0, 0],
		["bytes=-500", size - 500, size - 1],
		["bytes=500-", 500, size - 1],
		[`bytes=${size - 3}-${size + 90}`, size - 3, size - 1],
	] as const) {
		const part = await get({ range });
		t.equal(part.status, 206, range);
		t.equal(part.headers["content-range"], `bytes ${first}-${last}/${size}`);
		t.equal(part.headers.etag, etag);
		t.ok(files.shard.subarray(first, last + 1).equals(part.body));
	}
	const outside = await get({ range: `bytes=${size}-` });
	t.equal(outside.status, 416);
	t.equal(outside.headers["content-range"], `bytes */${size}`);
	t.equal((await get({ range: "bytes=0-1,5-6" })).status, 200);
	t.equal((await get({ range: "lines=0-1" })).status, 200);
	t.equal((await get({ range: "bytes=0-9", "if-range": etag })).status, 206);
	t.equal((await get({ range: "bytes=0-9", "if-range": '"x"' })).status, 200);
	t.equal((await get({ "if-none-match": etag })).status, 304);
	const head = await get({}, "HEAD");
	t.equal(head.headers["content-length"], String(size));
	t.equal(head.body.length, 0);
	const empty = await ask(origin.port, `/${TITLE}/1`);
	t.match(empty, { status: 200, headers: { "content-length": "0" } });
});

t.test("only files of a known shape are there", async (t) => {
	const { origin } = await server(t);
	for (const path of [
		"/",
		`/${TITLE}`,
		`/${TITLE}/`,
		`/${TITLE}/holders/`,
		`/${TITLE}/00`,
		`/${TITLE}/+0`,
		`/${TITLE}/manifest/`,
		`//${TITLE}/manifest`,
		`/${TITLE.toUpperCase()}/manifest`,
		`/.publishing-${TITLE}/manifest`,
		`/${TITLE}/../.publishing-${TITLE}/manifest`,
		`/%61${TITLE.slice(1)}/manifest`,
		"/titles.json",
		"/../titles.json",
		"/placement/",
		`/${TITLE}/manifest%00`,
		"*",
	])
		t.equal((await ask(origin.port, path)).status, 404, path);
	const query = await ask(origin.port, `/${TITLE}/manifest?v=1`);
	t.equal(query.status, 200);
	for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
		const answer = await ask(origin.port, `/${TITLE}/manifest`, { method });
		t.match(answer, { status: 405, headers: { allow: "GET, HEAD" } });
	}
});

t.test("a holder table that is replaced has another tag", async (t) => {
	const { origin, dir } = await server(t);
	const path = `/${TITLE}/holders/${NORTH}`;
	const before = await ask(origin.port, path);
	t.match(before.headers["cache-control"], "no-cache");
	const file = join(dir, path);
	await writeFile(`${file}.part`, before.body);
	await utimes(`${file}.part`, 1, 1);
	await rename(`${file}.part`, file);
	const after = await ask(origin.port, path, {
		headers: { "if-none-match": before.headers.etag ?? "" },
	});
	t.equal(after.status, 200);
	t.not(after.headers.etag, before.headers.etag);
});

t.test("100 readers at once, some of which leave", async (t) => {
	const { origin, files } = await server(t);
	const agent = new http.Agent({ maxSockets: 100 });
	t.teardown(() => agent.destroy());
	const reads = Array.from({ length: 100 }, async (_, n) => {
		const request = http.get({
			host: "127.0.0.1",
			port: origin.port,
			path: `/${TITLE}/0`,
			agent,
		});
		const [response] = (await once(request, "response")) as [
			http.IncomingMessage,
		];
		if (n % 4 === 0) {
			response.destroy();
			return true;
		}
		return files.shard.equals(await collect(response));
	});
	t.same(
		(await Promise.all(reads)).filter((whole) => !whole),
		[],
	);
});

t.test("a file cut short while it is sent breaks the connection", async (t) => {
	const { origin, dir } = await server(t);
	const request = http.get(`http://127.0.0.1:${origin.port}/${TITLE}/0`);
	const [response] = (await once(request, "response")) as [
		http.IncomingMessage,
	];
	await truncate(join(dir, TITLE, "0"), 10);
	await t.rejects(collect(response), { code: "ECONNRESET" });
});

t.test("a port in use is told", async (t) => {
	const { origin, dir } = await server(t);
	await t.rejects(
		startOrigin({ host: "127.0.0.1", port: origin.port, dir, log: silent }),
		{ code: "PORT_TAKEN" },
	);
});
