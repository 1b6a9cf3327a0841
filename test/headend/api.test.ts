import { stat } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import t from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { Api, type ApiOptions } from "../../src/headend/api/api.ts";
import { Planner } from "../../src/headend/fleet/planner.ts";
import { Wishes } from "../../src/headend/fleet/wishes.ts";
import { geometryOf } from "../../src/headend/publish/titles.ts";
import type { CommandBody } from "../../src/wire/command.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { bench, fillOf, recordOf, region, stateOf } from "./fixture.ts";

interface Answer {
	readonly status: number;
	readonly headers: Record<string, string | string[] | undefined>;
	readonly text: string;
}

t.test("the operator's page and API", async (t) => {
	const it = await bench(t);
	const title = recordOf("f".repeat(64) as TitleId);
	const planner = new Planner({
		operator: it.operator,
		fleet: it.fleet,
		wishes: new Wishes(it.database, region),
		titles: async () => [
			{
				id: title.id,
				geometry: geometryOf(title),
			},
		],
		publishDesired: async () => undefined,
		log: silent,
	});
	const commands: [BoxId, CommandBody][] = [];
	const backups: string[] = [];
	const revoked: BoxId[] = [];
	const operator = {
		...it.operator,
		config: { ...it.operator.config, api: { host: "127.0.0.1", port: 0 } },
	};
	const options: ApiOptions = {
		operator,
		database: it.database,
		fleet: it.fleet,
		planner,
		titles: () => [title],
		broker: () => ({ connected: true }),
		origin: { bytesSent: 7, bytesByTitle: new Map([[title.id, 5]]) },
		command: async (box, body) => {
			if (body.kind === "report")
				throw new LarderError("BOX_SILENT", "it did not answer");
			commands.push([box, body]);
			return { id: "1", session: "2", ok: false, code: "COMMAND_FAILED" };
		},
		revoke: async (box) => void revoked.push(box),
		backup: async (file) => void backups.push(file),
		log: silent,
	};
	const { api, url } = await Api.start(options);
	t.teardown(() => api.close());
	const { port, searchParams } = new URL(url);
	const token = searchParams.get("token") ?? "";
	const authorization = `Bearer ${token}`;

	function ask(
		method: string,
		path: string,
		headers: Record<string, string> = { authorization },
		body?: string,
	): Promise<Answer> {
		return new Promise((resolve, reject) => {
			const call = request(
				{ port, host: "127.0.0.1", method, path, headers },
				(response) => {
					const chunks: Buffer[] = [];
					response.on("data", (chunk: Buffer) => chunks.push(chunk));
					response.on("end", () =>
						resolve({
							status: response.statusCode ?? 0,
							headers: response.headers,
							text: Buffer.concat(chunks).toString(),
						}),
					);
				},
			);
			call.on("error", reject);
			call.end(body);
		});
	}
	const post = (
		path: string,
		body: unknown,
		headers: Record<string, string> = {},
	) =>
		ask(
			"POST",
			path,
			{ authorization, "content-type": "application/json", ...headers },
			JSON.stringify(body),
		);

	const box = await it.box();
	it.fleet.recordState(box, stateOf(box));
	it.fleet.recordFill(
		box,
		fillOf({
			usedSpace: 9,
			titles: [{ id: title.id, placed: 4, held: 3, bytes: 3 }],
		}),
	);
	await it.fleet.flush();

	await t.test("nobody comes in without the token", async (t) => {
		for (const path of [
			"/",
			"/app.js",
			"/api/overview",
			"/api/events",
			`/?token=${"0".repeat(64)}`,
		]) {
			const answer = await ask("GET", path, {});
			t.equal(answer.status, 401, path);
			t.match(JSON.parse(answer.text), {
				code: "TOKEN_MISSING",
				remedy: /printed/,
			});
		}
		t.equal((await ask("GET", "/", { authorization: "Bearer x" })).status, 401);
		t.equal(
			(await stat(join(operator.dir, "keys/api-token"))).mode & 0o777,
			0o600,
		);
	});

	await t.test(
		"the link lets a browser in and hides the token again",
		async (t) => {
			const answer = await ask("GET", `/?token=${token}`, {});
			t.equal(answer.status, 303);
			t.equal(answer.headers["location"], "/");
			const cookie = String(answer.headers["set-cookie"]);
			t.match(cookie, /HttpOnly; SameSite=Strict/);
			const page = await ask("GET", "/", {
				cookie: cookie.split(";")[0] ?? "",
			});
			t.equal(page.status, 200);
			t.match(page.headers["content-security-policy"], /default-src 'none'/);
			t.match(page.text, /<title>Larder/);
			t.notMatch(page.text, /https?:\/\//, "nothing from outside");
		},
	);

	await t.test("other sites are kept out, even with the token", async (t) => {
		const foreign = { authorization, host: `evil.example:${port}` };
		t.equal((await ask("GET", "/api/overview", foreign)).status, 403);
		const cross = { origin: "http://evil.example" };
		t.equal((await post("/api/plan", {}, cross)).status, 403);
		t.equal(
			(
				await ask("GET", "/api/overview", {
					authorization,
					host: `localhost:${port}`,
				})
			).status,
			200,
		);
		const form = { authorization, "content-type": "text/plain" };
		t.equal(
			(
				await ask(
					"POST",
					"/api/command",
					form,
					JSON.stringify({ box, kind: "report" }),
				)
			).status,
			415,
		);
		t.same(commands, []);
	});

	await t.test("files outside the page are not there", async (t) => {
		for (const path of [
			"/../api.ts",
			"/%2e%2e/api.ts",
			"/style.css/",
			"/nothing",
		])
			t.equal((await ask("GET", path)).status, 404, path);
		t.equal((await ask("DELETE", "/")).status, 405);
		t.equal((await ask("HEAD", "/style.css")).text, "");
	});

	await t.test("fleet, plan and titles", async (t) => {
		const plan = await post("/api/plan", {});
		t.match(JSON.parse(plan.text), { boxes: 1, told: 1, missing: 8 });
		t.match(JSON.parse((await ask("GET", "/api/overview")).text), {
			region,
			missing: 8,
			broker: { connected: true },
			origin: { bytesSent: 7 },
			regions: [{ boxes: 1, online: 1, used: 9 }],
		});
		t.match(JSON.parse((await ask("GET", "/api/boxes")).text), [
			{ id: box, serial: "SN-0001", online: true },
		]);
		t.match(JSON.parse((await ask("GET", "/api/titles")).text), [
			{
				name: "Film",
				shards: 4,
				boxes: 1,
				fewest: 1,
				placed: 4,
				held: 3,
				sentByOrigin: 5,
			},
		]);
	});

	await t.test(
		"commands and backups are passed on, nonsense is not",
		async (t) => {
			const answer = await post("/api/command", {
				box,
				kind: "log-level",
				level: "debug",
			});
			t.equal(answer.status, 200);
			t.same(
				JSON.parse(answer.text),
				{ ok: false, code: "COMMAND_FAILED" },
				"what the box said",
			);
			t.same(commands, [[box, { kind: "log-level", level: "debug" }]]);
			const silence = await post("/api/command", { box, kind: "report" });
			t.equal(silence.status, 504);
			t.match(JSON.parse(silence.text), {
				code: "BOX_SILENT",
				remedy: /larder boxes/,
			});
			t.equal((await post("/api/revoke", { box })).status, 200);
			t.equal((await post("/api/revoke", { box: "x" })).status, 400);
			t.same(revoked, [box]);
			for (const body of [
				{ box, kind: "key" },
				{ box: "x", kind: "report" },
				{ box, kind: "log-level", level: "loud" },
			])
				t.equal((await post("/api/command", body)).status, 400);
			t.equal((await post("/api/backup", { file: "relative" })).status, 400);
			t.equal(
				(
					await post("/api/backup", {
						file: "/tmp/../tmp/x",
						more: "x".repeat(70_000),
					})
				).status,
				413,
			);
			t.equal((await post("/api/backup", { file: "/safe/b" })).status, 200);
			t.same(backups, ["/safe/b"]);
		},
	);

	await t.test("events: everything first, then what changed", async (t) => {
		const call = request({
			port,
			host: "127.0.0.1",
			path: "/api/events",
			headers: { authorization },
		});
		call.end();
		const response = await new Promise<IncomingMessage>((resolve) =>
			call.on("response", resolve),
		);
		response.setEncoding("utf8");
		const chunks = response[Symbol.asyncIterator]();
		let text = "";
		const until = async (pattern: RegExp) => {
			while (!pattern.test(text)) text += String((await chunks.next()).value);
			const found = text;
			text = "";
			return found;
		};
		t.match(
			await until(/event: titles\n.*\n\n/),
			/"whole":true,"changed":\[\{"id":"f+"/,
		);
		it.fleet.recordState(box, stateOf(box, { power: "standby" }));
		const next = await until(/event: boxes\n.*\n\n/);
		t.match(next, /"whole":false.*"power":"standby"/);
		t.notMatch(next, /event: titles/);
		call.destroy();
	});

	await t.test("a port in use is named", async (t) => {
		const taken = {
			...operator,
			config: {
				...operator.config,
				api: { host: "127.0.0.1", port: Number(port) },
			},
		};
		await t.rejects(Api.start({ ...options, operator: taken }), {
			code: "PORT_TAKEN",
		});
	});
});
