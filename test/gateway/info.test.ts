import { once } from "node:events";
import { Registry } from "prom-client";
import t from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { entryOf } from "../../src/gateway/entry.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { Titles } from "../../src/gateway/titles.ts";
import { box, idOf, pattern, Shelf } from "./shelf.ts";
import { exchange, send } from "./wire.ts";

/** What the box knows of the time, whatever the system's clock says. */
const LATER = Date.UTC(2040, 0);
const time = { now: () => LATER, latest: () => LATER };

const shelf = new Shelf();
shelf.add(idOf("a"), "Ärger & <Söhne>", {
	"master.m3u8": pattern(10),
	"1080p.m3u8": pattern(10),
});
shelf.addFailing(
	idOf("b"),
	"Denied",
	() => new LarderError("TITLE_KEY_DENIED", "no"),
);
shelf.add(idOf("c"), "Tomorrow", { "film.mp4": pattern(10) });
shelf.change(idOf("c"), { availableFrom: LATER + 1e9 });
shelf.add(idOf("d"), "Yesterday", { "film.mp4": pattern(10) });
shelf.change(idOf("d"), { availableUntil: LATER - 1e9 });
shelf.add(idOf("e"), "1.2.3", { "larder.tar": pattern(10) });
shelf.change(idOf("e"), { kind: "release" });
shelf.add(idOf("f"), "Papers", { "notes.txt": pattern(10) });

let state = { ready: false, why: "the catalog is still empty" };
const registry = new Registry();
const gateway = await startGateway({
	host: "127.0.0.1",
	port: 0,
	library: shelf,
	time,
	registry,
	ready: () => state,
	box,
	log: silent,
});
t.teardown(() => gateway.close());

async function ask(path: string) {
	const { status, headers, body } = await exchange(gateway.port, "GET", path);
	return {
		status,
		headers,
		json: () => JSON.parse(body.toString()),
		text: body.toString(),
	};
}

t.test("while nobody knows the time, nothing is too early", async (t) => {
	const titles = new Titles(shelf, "", {
		now: () => LATER,
		latest: () => Number.POSITIVE_INFINITY,
	});
	const list = await titles.list();
	const playable = (name: string) =>
		list.find((title) => title.name === name)?.playable;
	t.equal(playable("Tomorrow"), true);
	t.equal(playable("Yesterday"), false);
});

t.test("the list of titles", async (t) => {
	const before = (await ask("/titles")).json();
	t.match(before[0], {
		id: idOf("a"),
		name: "Ärger & <Söhne>",
		duration: 600,
		size: 20,
		playable: true,
		url: `/titles/${idOf("a")}/`,
	});
	t.notOk("entry" in before[0], "nobody has read its manifest yet");
	t.strictSame(
		before.map(({ name }: { name: string }) => name),
		["Ärger & <Söhne>", "Denied", "Tomorrow", "Yesterday", "Papers"],
		"releases are not listed",
	);
	t.match(before[2], { playable: false, why: /^available from 2040/ });
	t.match(before[3], { playable: false, why: /^available until 2039/ });

	const one = await ask(`/titles/${idOf("a")}`);
	t.match(one.json(), {
		playable: true,
		url: `/titles/${idOf("a")}/master.m3u8`,
		entry: "master.m3u8",
		format: "hls",
	});
	t.equal((await ask(`/titles/${idOf("b")}`)).status, 403);
	t.equal((await ask(`/titles/${idOf("f")}/`)).json().code, "FILE_UNKNOWN");
	t.equal((await ask(`/titles/${idOf("0")}`)).json().code, "TITLE_UNKNOWN");
	const after = (await ask("/titles")).json();
	t.strictSame(after[0], one.json(), "the list has learnt it");
	t.match(after[1], { playable: false, why: /operator/ });
	t.match(after[4], { playable: false, why: /no playlist/ });
});

t.test("health", async (t) => {
	t.equal((await ask("/livez")).status, 200);
	const notYet = await ask("/readyz");
	t.equal(notYet.status, 503);
	t.strictSame(notYet.json(), state);
	state = { ready: true, why: "" };
	t.equal((await ask("/readyz")).status, 200);
});

t.test("metrics", async (t) => {
	await ask(`/titles/${idOf("a")}/master.m3u8`);
	await ask("/nothing");
	const { status, headers, text } = await ask("/metrics");
	t.equal(status, 200);
	t.equal(headers["content-type"], registry.contentType);
	t.match(text, 'larder_gateway_requests_total{route="file",status="200"} 1');
	t.match(text, 'larder_gateway_requests_total{route="none",status="404"} 1');
	t.match(text, "larder_gateway_first_byte_seconds_count 1");
	t.match(text, "larder_gateway_sent_bytes_total 10");
	t.notMatch(text, idOf("a"), "no title is named");
});

t.test("sources, second by second", async (t) => {
	const now = Math.floor(Date.now() / 1000);
	shelf.seconds = [
		{ at: now - 3600, disk: 1, origin: 1, neighbours: [0] },
		{ at: now - 1, disk: 10, origin: 0, neighbours: [0, 5] },
	];
	const socket = await send(gateway.port, "GET", "/sources");
	t.teardown(() => socket.destroy());
	let text = "";
	while ((text.match(/^data: /gm)?.length ?? 0) < 2) {
		text += (await once(socket, "data"))[0];
	}
	const [first = "", second = ""] = text.match(/(?<=^data: ).*$/gm) ?? [];
	t.strictSame(
		JSON.parse(first).seconds,
		shelf.seconds.slice(1),
		"the last minute",
	);
	t.ok(JSON.parse(second).now >= JSON.parse(first).now);
});

t.test("where a title starts", async (t) => {
	const packages: readonly [string, ...string[]][] = [
		["film.m3u8", "film.m3u8", "1080p/index.m3u8", "1080p/1.m4s"],
		["stream.mpd", "stream.mpd", "init.mp4", "1.m4s"],
		["main.m3u8", "stream.mpd", "main.m3u8", "audio.m3u8"],
		["Film.MP4", "Film.MP4", "poster.jpg"],
		["", "readme.txt"],
	];
	for (const [entry, ...paths] of packages) {
		const other = new Shelf();
		other.add(
			idOf("a"),
			"x",
			Object.fromEntries(paths.map((p) => [p, pattern(1)])),
		);
		const title = await other.open(idOf("a"), new AbortController().signal);
		t.equal(entryOf(title.manifest)?.path ?? "", entry);
	}
});
