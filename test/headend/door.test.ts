import { readFile, stat } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import t from "tap";
import { type Log, silent } from "../../src/base/log.ts";
import { DAY, MINUTE } from "../../src/base/time.ts";
import { Refusals } from "../../src/headend/api/refusals.ts";
import { routesOf } from "../../src/headend/api/routes.ts";
import { type Role, Tokens } from "../../src/headend/api/tokens.ts";
import { type Answer, apiRig } from "./apirig.ts";
import { bench } from "./fixture.ts";

/** A log whose lines are kept. */
function noted(): { lines: string[]; log: Log } {
	const lines: string[] = [];
	const warn = (fields: object, message: string) =>
		void lines.push(`${JSON.stringify(fields)} ${message}`);
	return { lines, log: { ...silent, warn } };
}

t.test("every route, for everybody who may ask", async (t) => {
	const { lines, log } = noted();
	const it = await apiRig(t, log);
	const { ask, post, port } = it;
	const box = await it.box();
	const named = async (name: string, role: Role) => {
		const answer = await post("/api/token/add", { name, role });
		return String(JSON.parse(answer.text).token);
	};
	const viewer = await named("ann", "viewer");
	const operator = await named("bob", "operator");
	const cookieOf = async (token: string) => {
		const answer = await ask("GET", `/?token=${token}`, {});
		t.equal(answer.status, 303);
		t.equal(answer.headers["location"], "/");
		const cookie = String(answer.headers["set-cookie"]);
		t.match(cookie, /; HttpOnly; SameSite=Strict; Path=\/$/);
		t.notMatch(cookie, token, "a cookie reaches other ports of the host");
		return cookie.split(";")[0] ?? "";
	};
	const seeing = await cookieOf(viewer);
	const acting = await cookieOf(operator);
	const own = { origin: `http://127.0.0.1:${port}` };
	const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

	/** Bodies of those that take one; each is asked for again and again. */
	const bodies: Record<string, unknown> = {
		"POST /api/command": { box, kind: "log-level", level: "info" },
		"POST /api/support": { box },
		"POST /api/revoke": { box, why: "lost" },
		"POST /api/revoke/undo": { box, why: "found again" },
		"POST /api/purge": { title: "f".repeat(64), why: "rights ended" },
		"POST /api/purge/undo": { title: "f".repeat(64), why: "not yet" },
		"POST /api/entitle": { title: "f".repeat(64), box, rule: "deny" },
		"POST /api/forget": { box },
		"POST /api/enrol/approve": { box },
		"POST /api/enrol/reject": { batch: "b1", why: "unknown" },
		"POST /api/enrol/auto": { serials: ["SN-1"] },
		"POST /api/rollout/start": {
			...{ version: "0.2.0", waves: [0.1, 1] },
			...{ abortAt: 0.02, soak: 1000 },
		},
		"POST /api/rollout/pause": { why: "calls come in" },
		"POST /api/rollout/resume": {},
		"POST /api/rollout/abort": {},
		"POST /api/plan": {},
		"POST /api/group": { places: [{ serial: "SN-1", levels: ["street7"] }] },
		"POST /api/keys": { what: "rotate placement" },
		"POST /api/backup": { file: "/safe/b" },
		"POST /api/token/add": { name: "ann", role: "viewer" },
		"POST /api/token/remove": { name: "nobody" },
	};
	/** Names that are taken, names that are not there and boxes that do not wait are refused by the deed itself. */
	const done = (route: string) =>
		route.includes("/token/") ? 400 : route.endsWith("/approve") ? 409 : 200;
	const nothing = { read: 401, change: 401 };
	const refused = { read: 403, change: 403 };
	const all = { read: 200, change: 200 };
	const cases: [string, Record<string, string>, typeof all][] = [
		["no token", {}, nothing],
		["a viewer", bearer(viewer), { read: 200, change: 403 }],
		["a named operator", bearer(operator), all],
		["the operator", bearer(it.token), all],
		["a viewer's page", { cookie: seeing, ...own }, { read: 200, change: 403 }],
		["an operator's page", { cookie: acting, ...own }, all],
		[
			"an operator's cookie from nowhere",
			{ cookie: acting },
			{ read: 200, change: 403 },
		],
		[
			"another site",
			{ cookie: acting, origin: "http://evil.example" },
			refused,
		],
		[
			"another site without a name",
			{ cookie: acting, origin: "null" },
			refused,
		],
		[
			"another port of the same host",
			{ cookie: acting, "sec-fetch-site": "same-site" },
			refused,
		],
		[
			"a picture on another site",
			{ ...bearer(operator), "sec-fetch-site": "cross-site" },
			refused,
		],
		[
			"a link or a form on another site",
			{
				cookie: acting,
				...own,
				"sec-fetch-site": "cross-site",
				"sec-fetch-mode": "navigate",
			},
			{ read: 200, change: 403 },
		],
		[
			"a name that leads here by another's DNS",
			{ ...bearer(operator), host: `evil.example:${port}` },
			refused,
		],
	];
	const none = async () => undefined;
	const routes = routesOf(
		{
			...{ overview: none, boxes: none, titles: none },
			...{ keys: none, purges: none, enrol: none, quality: none },
			metrics: async () => ({ type: "text/plain", text: "" }),
		},
		it.options,
		await Tokens.open(it.operator.dir),
		undefined as never,
	);
	const listed = Object.entries(routes).flatMap(([path, methods]) =>
		Object.keys(methods).map((method) => `${method} ${path}`),
	);
	t.ok(listed.length > 10);
	for (const [who, headers, expected] of cases) {
		await t.test(who, async (t) => {
			for (const route of [...listed, "GET /", "GET /app.js"]) {
				const [method = "", path = ""] = route.split(" ");
				const reads = method === "GET";
				// Not all that can be read is for those who only look.
				const isClosed =
					routes[path]?.[method]?.role === "operator" && /viewer/.test(who);
				const body = JSON.stringify(bodies[route]);
				t.ok(reads || body !== undefined, `${route} has a body to try`);
				const answer = await ask(
					method,
					path,
					{ ...headers, ...(!reads && { "content-type": "application/json" }) },
					body,
				);
				const usual = reads && !isClosed ? expected.read : expected.change;
				const status = usual === 200 && !reads ? done(route) : usual;
				t.equal(answer.status, status, `${route}: ${status}`);
				t.match(answer.headers, {
					"cache-control": "no-store",
					"content-security-policy":
						/default-src 'none'; script-src 'self';.*frame-ancestors 'none'/,
					"referrer-policy": "no-referrer",
					"x-content-type-options": "nosniff",
					"x-frame-options": "DENY",
				});
			}
		});
	}

	await t.test("wrong tokens, again and again", async (t) => {
		const statuses: number[] = [];
		const wrong = (answer: Answer) => statuses.push(answer.status);
		for (const token of ["x", "0".repeat(64), `${it.token}0`])
			wrong(await ask("GET", "/api/boxes", bearer(token)));
		wrong(await ask("GET", `/?token=${"0".repeat(64)}`, {}));
		wrong(await ask("GET", "/", { cookie: seeing.replace("ann", "bob") }));
		for (let i = 0; i < 20; i++)
			wrong(await post("/api/plan", {}, bearer("0".repeat(64))));
		t.ok(statuses.every((status) => status === 401 || status === 429));
		t.equal(statuses.at(-1), 429);
		t.equal((await post("/api/plan", {})).status, 200, "a right one opens");
		t.equal((await ask("GET", "/api/boxes", bearer(viewer))).status, 200);
		t.ok(lines.length > 0 && lines.length < 20, "the log is not flooded");
		t.match(lines.join("\n"), /127\.0\.0\.1/);
		for (const token of [it.token, viewer, operator, "0".repeat(64)])
			t.notMatch(lines.join("\n"), token);
		const { text } = await ask("GET", "/api/overview");
		t.ok(JSON.parse(text).refused > lines.length, "all are counted");
	});

	await t.test("only the page's own address takes a token", async (t) => {
		const answer = await ask("GET", `//evil.example?token=${viewer}`, {});
		t.equal(answer.status, 303);
		t.equal(answer.headers["location"], "/", "and leads nowhere else");
		t.equal((await ask("GET", `/api/boxes?token=${viewer}`, {})).status, 401);
		t.equal((await ask("GET", "//")).status, 400);
		const unknown = await ask("PUT", "/api/plan");
		t.equal(unknown.status, 405);
		t.equal(unknown.headers["allow"], "POST");
	});

	await t.test(
		"what was changed is on record, what was refused is not",
		async (t) => {
			const entries = JSON.parse((await ask("GET", "/api/audit")).text);
			const seen = new Set<string>();
			for (const { request: asked, who, address } of entries) {
				seen.add(asked.split(":")[0] ?? "");
				t.match(who, /^(operator|bob)$/);
				t.equal(address, "127.0.0.1");
			}
			t.same(
				[...seen].toSorted(),
				listed.filter((route) => route.startsWith("POST")).toSorted(),
				"every route that changes something",
			);
			const of = (action: string) =>
				entries.find((each: { action: string }) => each.action === action);
			t.match(of("revoke"), { subject: box, why: "lost", outcome: "done" });
			t.match(of("command"), {
				subject: box,
				outcome: "failed",
				code: "COMMAND_FAILED",
			});
			t.match(of("backup"), { subject: "/safe/b" });
			t.match(of("token-add"), { subject: "ann (viewer)", outcome: "failed" });
			t.match(of("token-remove"), { subject: "nobody" });
			const page = await ask("GET", `/api/audit?before=${entries[0].id}`);
			t.same(JSON.parse(page.text), entries.slice(1));
			t.equal((await ask("GET", "/api/audit?since=soon")).status, 400);
			const [first] = JSON.parse((await ask("GET", "/api/boxes")).text);
			t.match(first, { revoked: false, revokedWhy: null }, "and undone");

			t.match(of("key-deny"), { subject: `${"f".repeat(64)} on ${box}` });
			const veiled = await ask("GET", "/api/audit", bearer(viewer));
			for (const entry of JSON.parse(veiled.text)) {
				const { action, subject, why } = entry;
				if (/^key-|^forget/.test(action)) t.same([subject, why], [null, null]);
			}
			t.match(veiled.text, `"subject":"${box}"`, "of other changes, all");
		},
	);

	await t.test("a page tells nobody what a household may play", async (t) => {
		const answer = await fetch(`http://127.0.0.1:${port}/api/events`, {
			headers: bearer(viewer),
		});
		let text = "";
		for await (const part of answer.body!) {
			text += Buffer.from(part).toString();
			if (/event: changes\ndata: .*\n/.test(text)) break;
		}
		const [, news = ""] = /event: changes\ndata: (.*)\n/.exec(text) ?? [];
		t.match(news, '"action":"key-deny"');
		t.notMatch(news, `on ${box}`);
		t.notMatch(text.replace(news, ""), `on ${box}`);
	});

	await t.test("nothing changes that cannot be recorded", async (t) => {
		await it.database.query("ALTER TABLE audit RENAME TO lost");
		const before = it.revoked.length;
		const answer = await post("/api/revoke", { box, why: "again" });
		t.equal(answer.status, 503);
		t.match(JSON.parse(answer.text), { code: "AUDIT_FAILED" });
		t.equal(it.revoked.length, before);
		await it.database.query("ALTER TABLE lost RENAME TO audit");
	});

	await t.test(
		"a removed token opens nothing, nor what it opened",
		async (t) => {
			const cookie = { cookie: seeing, ...own };
			const stream = request({
				port,
				host: "127.0.0.1",
				path: "/api/events",
				headers: cookie,
			}).end();
			const ended = new Promise<void>((resolve) =>
				stream.on("response", (response) => {
					response.resume();
					response.on("end", resolve);
					post("/api/token/remove", { name: "ann" }).then(
						(answer) => t.equal(answer.status, 200),
						t.error,
					);
				}),
			);
			await ended;
			for (const headers of [bearer(viewer), cookie]) {
				const { status } = await ask("GET", "/api/boxes", headers);
				t.ok(status === 401 || status === 429);
			}
		},
	);
});

t.test("tokens are kept as hashes", async (t) => {
	const { operator } = await bench(t);
	let now = Date.now();
	const open = () => Tokens.open(operator.dir, () => now);
	const tokens = await open();
	const token = await tokens.add("noc", "viewer");
	const path = join(operator.dir, "keys/tokens.json");
	t.equal((await stat(path)).mode & 0o777, 0o600);
	t.notMatch(await readFile(path, "utf8"), token);
	for (const name of ["noc", "operator", "No one", "", "a".repeat(33)])
		await t.rejects(tokens.add(name, "operator"), { code: "REQUEST_INVALID" });
	const again = await open();
	const holder = { name: "noc", role: "viewer" };
	t.match(again.holder(token), holder);
	t.match(again.holder(again.own), { name: "operator", role: "operator" });
	t.equal(again.holder(""), undefined);
	t.match(again.list(), [holder]);
	t.notMatch(JSON.stringify(again.list()), /sha256/);

	const pass = again.passOf({ name: "noc", role: "viewer" });
	t.match(again.bearer(pass), holder);
	const [name, until, mac] = pass.split(".");
	for (const forged of [
		"",
		"noc",
		`operator.${until}.${mac}`,
		`${name}.${Number(until) + 1}.${mac}`,
		`nobody.${until}.${mac}`,
	])
		t.equal(again.bearer(forged), undefined, forged);
	now += 7 * DAY;
	t.equal(again.bearer(pass), undefined, "a week is over");
	now -= DAY;
	await again.remove("noc");
	await again.add("noc", "operator");
	t.equal(again.bearer(pass), undefined, "it was another's");
	await t.rejects(again.remove("ann"), { code: "REQUEST_INVALID" });
});

t.test("refusals are counted; a flood of them is one line more", (t) => {
	const { lines, log } = noted();
	let now = 0;
	const refusals = new Refusals(log, () => now);
	const add = () => refusals.add("wrong-token", "10.0.0.9");
	const many = Array.from({ length: 25 }, add);
	t.equal(many.indexOf(true), 10);
	t.equal(lines.length, 10);
	now = MINUTE;
	t.equal(add(), false);
	t.equal(refusals.total, 26);
	t.match(lines.slice(10), [/"count":15.*more/, /"wrong-token".*"10.0.0.9"/]);
	t.end();
});
