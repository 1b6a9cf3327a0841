import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { Registry } from "prom-client";
import t from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import { box, idOf, pattern, Shelf } from "./shelf.ts";
import { exchange, type Fields, parse } from "./wire.ts";

interface Case {
	readonly name: string;
	readonly method?: string;
	readonly path: string;
	readonly send?: Fields;
	readonly status: number;
	readonly headers?: Readonly<Record<string, string | null>>;
	/** First and last byte of `file` (or of the file that the path names). */
	readonly body?: readonly [number, number];
	readonly file?: string;
	readonly empty?: boolean;
	/** Of the JSON error. */
	readonly code?: string;
}

const { files, cases }: { files: Record<string, number>; cases: Case[] } =
	JSON.parse(await readFile(new URL("./cases.json", import.meta.url), "utf8"));
const TITLE = idOf("a");
const UNSERVED = idOf("c");
const contents: Record<string, Buffer> = {};
const space = pattern(Object.values(files).reduce((sum, n) => sum + n, 0));
let offset = 0;
for (const [path, length] of Object.entries(files)) {
	contents[path] = space.subarray(offset, offset + length);
	offset += length;
}
const shelf = new Shelf();
shelf.add(TITLE, "Cases", contents);
shelf.addFailing(
	UNSERVED,
	"Unserved",
	() => new LarderError("TITLE_UNAVAILABLE", "nobody is there"),
);

const gateway = await startGateway({
	host: "127.0.0.1",
	port: 0,
	library: shelf,
	time: timeOf(Date.now),
	registry: new Registry(),
	ready: () => ({ ready: true, why: "" }),
	box,
	origins: ["https://tv.example"],
	log: silent,
});
t.teardown(() => gateway.close());
const whole = await exchange(
	gateway.port,
	"GET",
	`/titles/${TITLE}/master.m3u8`,
);
const etag = whole.headers["etag"] ?? "";
const filled = (text: string) =>
	text
		.replaceAll("{T}", TITLE)
		.replaceAll("{U}", UNSERVED)
		.replaceAll("{etag}", etag);

t.match(etag, /^"[\w-]{22}"$/, "the tag is strong");

for (const row of cases) {
	t.test(row.name, async (t) => {
		const send = Object.fromEntries(
			Object.entries(row.send ?? {}).map(([name, value]) => [
				name,
				typeof value === "string" ? filled(value) : value.map(filled),
			]),
		);
		const answer = await exchange(
			gateway.port,
			row.method ?? "GET",
			filled(row.path),
			send,
		);
		t.equal(answer.status, row.status);
		for (const [name, value] of Object.entries(row.headers ?? {})) {
			t.equal(
				answer.headers[name],
				value === null ? undefined : filled(value),
				name,
			);
		}
		t.match(answer.headers["date"], / GMT$/, "it says when");
		const length = answer.headers["content-length"];
		if (row.method !== "HEAD" && length !== undefined)
			t.equal(answer.body.byteLength, Number(length), "as long as it says");
		if (row.empty) t.equal(answer.body.byteLength, 0, "no body");
		if (row.body !== undefined) {
			const path =
				row.file ?? /\/titles\/\{T\}\/([^?]*)/.exec(row.path)?.[1] ?? "";
			const [first, last] = row.body;
			t.ok(
				answer.body.equals(contents[path]!.subarray(first, last + 1)),
				"body",
			);
		}
		if (row.code !== undefined) {
			const error = JSON.parse(answer.body.toString());
			t.equal(error.code, row.code);
			t.type(error.message, "string");
			t.type(error.remedy, "string");
			t.equal(
				answer.headers["content-type"],
				"application/json; charset=utf-8",
			);
		}
	});
}

t.test("tags differ by path and by title", async (t) => {
	shelf.add(idOf("b"), "Twin", contents);
	const paths = [`${TITLE}/video/a.m4s`, `${idOf("b")}/master.m3u8`];
	const tags = new Set([etag]);
	for (const path of paths) {
		const answer = await exchange(gateway.port, "HEAD", `/titles/${path}`);
		tags.add(answer.headers["etag"] ?? "");
	}
	t.equal(tags.size, 3);
});

t.test("a request names exactly one machine, in any version", async (t) => {
	const ask = async (...lines: string[]) => {
		const socket = connect(gateway.port, "127.0.0.1");
		socket.end([...lines, "", ""].join("\r\n"));
		return parse(Buffer.concat(await socket.toArray())).status;
	};
	const own = "Host: 127.0.0.1";
	for (const version of ["0.9", "1.0", "1.1", "2.0"]) {
		const line = `GET /livez HTTP/${version}`;
		t.equal(await ask(line, own, "Connection: close"), 200, version);
		t.equal(await ask(line), 400, `${version} without Host`);
		t.equal(await ask(line, own, "Host: evil.example"), 421, version);
		t.equal(await ask(line, "Host: evil.example", own), 421, version);
	}
	t.equal(await ask("GET /livez"), 400);
});
