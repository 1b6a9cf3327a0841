import { stat } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import t from "tap";
import { Api } from "../../src/headend/api/api.ts";
import type { Entry } from "../../src/headend/audit.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { apiRig } from "./apirig.ts";
import { fillOf, region, stateOf } from "./fixture.ts";

t.test("the operator's page and API", async (t) => {
	const it = await apiRig(t);
	const { ask, post, port, token, commands, options } = it;
	const authorization = `Bearer ${token}`;
	const title = { id: "f".repeat(64) as TitleId };

	const box = await it.box();
	it.fleet.recordState(box, stateOf(box));
	it.fleet.recordFill(
		box,
		fillOf({
			...{ usedSpace: 9, missingBytes: 70 },
			titles: [{ id: title.id, placed: 4, held: 3, bytes: 3, short: "2" }],
		}),
	);
	await it.fleet.flush();

	await t.test("the operator's token is the operator's alone", async (t) => {
		const path = join(it.operator.dir, "keys/api-token");
		t.equal((await stat(path)).mode & 0o777, 0o600);
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

	await t.test("figures for Prometheus", async (t) => {
		const { headers, text } = await ask("GET", "/api/metrics");
		t.match(headers["content-type"], /^text\/plain/);
		t.match(text, `larder_region_boxes_online{region="${region}"} 1`);
		t.match(text, `larder_region_used_bytes{region="${region}"} 9`);
		t.match(text, `larder_region_missing_bytes{region="${region}"} 70`);
	});

	await t.test("how films were to watch", async (t) => {
		const watched = (id: string, starts: number[]) => ({
			...{ id: id.repeat(16), title: title.id, starts, played: 60_000 },
			...{ stalls: 1, stalled: 1500, seeks: 0, switches: 0, bitrate: 4e6 },
			...{ disk: 1, neighbours: 20, near: [7, 2], origin: 3 },
			misses: { "too-slow": 5 },
		});
		it.qualities.note({ watched: [watched("a", [400]), watched("b", [900])] });
		await it.qualities.flush();
		const views = JSON.parse((await ask("GET", "/api/quality?hours=1")).text);
		t.match(views, [
			{ title: title.id, region, starts: 2, stalls: 2, stallsPerHour: 60 },
		]);
		t.equal((await ask("GET", "/api/quality?hours=many")).status, 400);
		const { text } = await ask("GET", "/api/metrics");
		t.match(text, /^larder_video_startup_seconds_bucket\{le="0.5"\} 1$/m);
		t.match(text, /^larder_video_startup_seconds_count 2$/m);
		t.match(views, [{ neighbours: 40, near: [14, 4, 0, 0] }]);
		t.match(text, /^larder_video_neighbour_bytes_total\{level="1"\} 4$/m);
		t.match(text, /^larder_video_neighbour_bytes_total\{level="far"\} 22$/m);
		t.match(text, /^larder_video_stalls_total 2$/m);
		t.match(text, /^larder_missed_blocks_total\{cause="too-slow"\} 10$/m);
		t.notMatch(text, title.id);
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
				short: 1,
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
			t.same(it.revoked, [[box, undefined]]);
			const title = "f".repeat(64);
			const ruled = await post("/api/entitle", { title, rule: "deny" });
			t.same(JSON.parse(ruled.text), { told: 2 });
			await post("/api/entitle", { title, box, rule: "unset" });
			t.same(it.entitled, [
				[title, undefined, "deny"],
				[title, box, undefined],
			]);
			const wrong = await post("/api/entitle", { title, rule: "perhaps" });
			t.equal(wrong.status, 400);
			const forgot = await post("/api/forget", { box, why: "asked to" });
			t.same(JSON.parse(forgot.text), { erased: 3 });
			t.same(it.forgotten, [box]);
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
			t.same(it.backups, ["/safe/b"]);
			await post("/api/rollout/start", {
				...{ version: "0.2.0", waves: [0.005, 1], abortAt: 0.02, soak: 60_000 },
			});
			const audit = await ask("GET", "/api/audit");
			const on = JSON.parse(audit.text) as Entry[];
			const how = (action: string) =>
				on.filter((entry) => entry.action === action).map((e) => e.request);
			t.same(how("command"), [
				"POST /api/command: report",
				"POST /api/command: log-level debug",
			]);
			t.same(how("rollout-start"), [
				"POST /api/rollout/start: waves 0.5 %, 100 %, abort at 2 %, soak 60 s",
			]);
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
		const { operator } = options;
		const taken = {
			...operator,
			config: { ...operator.config, api: { host: "127.0.0.1", port } },
		};
		await t.rejects(Api.start({ ...options, operator: taken }), {
			code: "PORT_TAKEN",
		});
	});
});
