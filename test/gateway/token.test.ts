import { randomBytes } from "node:crypto";
import { Registry } from "prom-client";
import t from "tap";
import { type Log, silent } from "../../src/base/log.ts";
import { startGateway } from "../../src/gateway/server.ts";
import { behindToken, bootId, playerToken } from "../../src/gateway/token.ts";
import { timeOf } from "../../src/wire/envelope.ts";
import { box, idOf, pattern, Shelf } from "./shelf.ts";
import { exchange } from "./wire.ts";

const TITLE = idOf("a");
const shelf = new Shelf();
shelf.add(TITLE, "Film", {
	"master.m3u8": Buffer.from("#EXTM3U\nvideo/720p.m3u8\n"),
	"video/720p.m3u8": pattern(100),
});
const token = playerToken(randomBytes(32), "boot");
const registry = new Registry();
const logged: unknown[] = [];
const gateway = await startGateway({
	host: "127.0.0.1",
	port: 0,
	library: shelf,
	time: timeOf(Date.now),
	registry,
	ready: () => ({ ready: true, why: "" }),
	box,
	token,
	origins: ["https://tv.example"],
	log: listening(),
});
t.teardown(() => gateway.close());

/** A log that keeps what it is told. */
function listening(): Log {
	const keep = (...told: unknown[]) => void logged.push(...told);
	return Object.assign(Object.create(silent), {
		debug: keep,
		info: keep,
		warn: keep,
		error: keep,
	});
}

async function ask(
	path: string,
	headers: Readonly<Record<string, string>> = {},
	method = "GET",
) {
	return await exchange(gateway.port, method, path, headers);
}

t.test("relative addresses stay behind the token", async (t) => {
	t.equal(gateway.base, `http://127.0.0.1:${gateway.port}/t/${token}`);
	const list = await fetch(`${gateway.base}/titles`);
	const [{ url }] = (await list.json()) as [{ url: string }];
	const entry = await fetch(new URL(url, gateway.base));
	t.equal(entry.url, `${gateway.base}/titles/${TITLE}/master.m3u8`);
	const line = (await entry.text()).split("\n")[1] ?? "";
	const media = await fetch(new URL(line, entry.url));
	t.ok(pattern(100).equals(Buffer.from(await media.arrayBuffer())));
	const detail = await fetch(`${gateway.base}/titles/${TITLE}`);
	t.match(await detail.json(), {
		url: `/t/${token}/titles/${TITLE}/master.m3u8`,
	});
	const sources = await fetch(`${gateway.base}/sources`, { method: "HEAD" });
	t.equal(sources.status, 200);
});

t.test(
	"without it, nothing tells a title that is from one that is not",
	async (t) => {
		const wrong = `${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`;
		const answers = new Set<string>();
		for (const start of [
			"",
			"/t",
			"/t/",
			"/t//",
			`/t/${wrong}`,
			`/t/${token}x`,
			`/t/${token.slice(0, 20)}`,
			`/t/${token.toLowerCase()}`,
			`/T/${token}`,
			`//t/${token}`,
			`/x/../t/${token}`,
			`/t/%74${token}`,
		]) {
			for (const end of [
				"/titles",
				`/titles/${TITLE}`,
				`/titles/${TITLE}/`,
				`/titles/${TITLE}/master.m3u8`,
				`/titles/${idOf("b")}/master.m3u8`,
				"/sources",
			]) {
				for (const method of ["GET", "HEAD", "OPTIONS", "POST"]) {
					const { status, headers, body } = await ask(start + end, {}, method);
					t.equal(status, 404, `${method} ${start}${end}`);
					const { date: _, ...told } = headers;
					const said = method === "HEAD" ? "" : body.toString();
					if (method !== "HEAD") answers.add(JSON.stringify([told, said]));
				}
			}
		}
		t.equal(answers.size, 1);
		t.match([...answers][0], "larder player-token");
	},
);

t.test("no page and no metrics, with or without it; health", async (t) => {
	for (const path of ["/", "/page/player.js", "/metrics"]) {
		t.equal((await ask(path)).status, 404, path);
		t.equal((await ask(`/t/${token}${path}`)).status, 404, path);
	}
	t.equal((await ask("/livez")).status, 200);
	t.equal((await ask("/readyz")).status, 200);
	t.equal((await ask(`/t/${token}/livez`)).status, 404);
	t.equal((await ask("/livez", { host: "evil.example" })).status, 421);
});

t.test("who has it may also read the list, from its own origin", async (t) => {
	const path = `/t/${token}/titles`;
	const site = "https://tv.example";
	const shared = await ask(path, { origin: site });
	t.equal(shared.headers["access-control-allow-origin"], site);
	t.equal(
		(await ask(path, { origin: "https://evil.example" })).status,
		403,
		"not from any other, were the token known",
	);
	const health = await ask("/readyz", { origin: site });
	t.notOk("access-control-allow-origin" in health.headers);
});

t.test("it is in no log, metric or Referer", async (t) => {
	const path = `/t/${token}/titles/${TITLE}/`;
	await ask(`${path}%ff`);
	await ask(`${path}missing.mp4`);
	await ask(`${path}master.m3u8`, { range: "bytes=9999-" });
	await ask(path, { host: "evil.example" });
	await ask(path, {}, "DELETE");
	const { headers } = await ask(path);
	t.equal(headers["referrer-policy"], "no-referrer");
	t.ok(logged.length > 5, "there is something to search");
	t.notMatch(JSON.stringify(logged), token);
	t.notMatch(await registry.metrics(), token);
});

t.test(
	"a token is one box's and one boot's, and fits into a path",
	async (t) => {
		const secret = randomBytes(32);
		const other = playerToken(secret, await bootId());
		t.match(other, /^[\w-]{43}$/);
		t.equal(
			other,
			playerToken(secret, await bootId()),
			"the agent was restarted",
		);
		t.not(other, playerToken(secret, "another boot"));
		t.not(other, playerToken(randomBytes(32), await bootId()));
		t.equal(behindToken(`/t/${other}/a/b`, other), "/a/b");
		t.equal(behindToken(`/t/${other}`, other), "");
		t.equal(
			behindToken(`/t/${other}/a`, playerToken(randomBytes(32), "boot")),
			undefined,
		);
	},
);
