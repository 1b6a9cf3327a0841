import {
	chmod,
	mkdir,
	readdir,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import * as z from "zod/mini";
import { ONLINE } from "../../src/headend/operator/keyring.ts";
import { lockOperator } from "../../src/headend/operator/lock.ts";
import {
	initOperator,
	openOperator,
} from "../../src/headend/operator/operator.ts";
import { PURPOSES, seal, unseal } from "../../src/wire/envelope.ts";
import type { Region } from "../../src/wire/ids.ts";

const region = "north-1" as Region;

t.test(
	"a new operator opens, and each key signs for its own purpose only",
	async (t) => {
		const dir = join(t.testdir(), "operator");
		const operator = await initOperator(dir, { region, copies: 5 });
		t.equal(operator.epoch, 1);
		t.equal(operator.config.copies, 5);
		t.same((await openOperator(dir)).rootKey, operator.rootKey);
		for (const purpose of ONLINE) {
			const bytes = seal(operator.signers[purpose], { hello: 1 });
			const schema = z.object({ hello: z.number() });
			for (const asked of PURPOSES) {
				t.equal(
					unseal(bytes, asked, schema, operator.trust).ok,
					asked === purpose,
				);
			}
		}
	},
);

t.test(
	"secrets are the operator's alone, origin is for everybody",
	async (t) => {
		const dir = join(t.testdir(), "operator");
		await initOperator(dir, { region });
		t.equal((await stat(join(dir, "keys"))).mode & 0o777, 0o700);
		t.equal((await stat(join(dir, "titles"))).mode & 0o777, 0o700);
		t.equal((await stat(dir)).mode & 0o777, 0o755);
		const keys = await readdir(join(dir, "keys"));
		t.same(
			keys.sort(),
			[
				...["network-secret", "root.json"],
				...["ca.pem", "ca-crl.pem", "issuer.pem"],
				...PURPOSES.map((p) => `${p}.json`),
			].sort(),
		);
		for (const key of keys)
			t.equal((await stat(join(dir, "keys", key))).mode & 0o777, 0o600, key);
	},
);

t.test("the root and the key for releases may be taken away", async (t) => {
	const dir = join(t.testdir(), "operator");
	await initOperator(dir, { region });
	for (const name of ["root", "release"])
		await rm(join(dir, `keys/${name}.json`));
	t.equal((await openOperator(dir)).region, region);
});

t.test("the root is elsewhere from the start", async (t) => {
	const parent = t.testdir({ stick: {} });
	const dir = join(parent, "operator");
	const root = join(parent, "stick", "root.json");
	await t.rejects(initOperator(dir, { region, root, originUrl: "none" }), {
		code: "CONFIG_INVALID",
	});
	t.same(await readdir(join(parent, "stick")), [], "no keys without a network");
	await initOperator(dir, { region, root });
	t.same((await readdir(join(parent, "stick"))).sort(), [
		"release.json",
		"root.json",
	]);
	t.equal((await stat(root)).mode & 0o777, 0o600);
	const keys = await readdir(join(dir, "keys"));
	for (const name of ["release.json", "root.json"])
		t.notOk(keys.includes(name), name);
	const before = await readFile(root);
	await t.rejects(initOperator(join(parent, "second"), { region, root }), {
		code: "OPERATOR_EXISTS",
		message: /root\.json is there already/,
	});
	t.same(await readFile(root), before, "never overwritten");
});

t.test("keys that others can read are refused", async (t) => {
	const dir = join(t.testdir(), "operator");
	await initOperator(dir, { region });
	const cases: [path: string, open: number, closed: number][] = [
		["keys", 0o755, 0o700],
		["keys/placement.json", 0o640, 0o600],
		["keys/issuer.json", 0o604, 0o600],
		["keys/network-secret", 0o644, 0o600],
	];
	for (const [name, open, closed] of cases) {
		const path = join(dir, name);
		await chmod(path, open);
		await t.rejects(openOperator(dir), {
			code: "OPERATOR_INVALID",
			message: `chmod ${closed.toString(8)} ${path}`,
		});
		await chmod(path, closed);
	}
	await openOperator(dir);
});

t.test(
	"an operator is never overwritten, and a failed init leaves nothing",
	async (t) => {
		const parent = t.testdir({ full: { file: "mine" }, empty: {} });
		await t.rejects(initOperator(join(parent, "full"), { region }), {
			code: "OPERATOR_EXISTS",
		});
		t.equal(await readFile(join(parent, "full/file"), "utf8"), "mine");
		await t.rejects(
			initOperator(join(parent, "empty"), { region, originUrl: "nonsense" }),
			{ code: "CONFIG_INVALID", message: /origin\.url/ },
		);
		t.same(await readdir(join(parent, "empty")), []);
		t.same((await readdir(parent)).sort(), ["empty", "full"]);
		await initOperator(join(parent, "empty"), { region });
	},
);

t.test("damage is named", async (t) => {
	const dir = join(t.testdir(), "operator");
	await t.rejects(openOperator(dir), { code: "OPERATOR_MISSING" });
	await initOperator(dir, { region });
	const breakages: [file: string, text: string, code: string, names: RegExp][] =
		[
			["operator.toml", "region = ", "CONFIG_INVALID", /operator\.toml/],
			["epoch", "zero", "OPERATOR_INVALID", /epoch/],
			["keys/placement.json", "{}", "OPERATOR_INVALID", /placement\.json/],
			["network.json", "{", "OPERATOR_INVALID", /network\.json/],
			["keys/network-secret", "abc", "OPERATOR_INVALID", /network-secret/],
		];
	for (const [file, text, code, names] of breakages) {
		const whole = await readFile(join(dir, file));
		await writeFile(join(dir, file), text);
		await t.rejects(openOperator(dir), { code, message: names }, file);
		await writeFile(join(dir, file), whole);
	}
	const other = await readFile(join(dir, "keys/issuer.json"));
	await writeFile(join(dir, "keys/placement.json"), other);
	await t.rejects(
		openOperator(dir),
		{ code: "OPERATOR_INVALID" },
		"a key under another's name",
	);
});

t.test("every wrong setting is named with its key", async (t) => {
	const dir = join(t.testdir(), "operator");
	await initOperator(dir, { region });
	const path = join(dir, "operator.toml");
	const whole = await readFile(path, "utf8");
	const edits: [from: RegExp, to: string, names: RegExp][] = [
		[/copies = 3/, "copies = 0", /copies/],
		[/copies = 3/, 'copies = "3"', /copies/],
		[/\[api\]/, "[api]\ncolour = 1", /api.*colour/],
		[/"mqtt:/, '"http:', /broker\.url/],
		...["ws", "wss"].map((scheme): [RegExp, string, RegExp] => [
			/"mqtt:/,
			`"${scheme}:`,
			/operator\.toml: broker\.url: must be an mqtt:\/\/ or mqtts:\/\/ address/,
		]),
		[/"mqtt:\/\/.*"/, '"mqtt:///"', /broker\.url/],
		...["head:secret", "head"].map((login): [RegExp, string, RegExp] => [
			/"mqtt:\/\//,
			`"mqtt://${login}@`,
			/operator\.toml: broker\.url: (?!.*head).*set broker\.username and broker\.password_file/,
		]),
		[/bootstrap = \[.*\]/, 'bootstrap = ["here"]', /swarm\.bootstrap/],
		[/= "now"/, '= "soon"', /policy\.share_transient/],
		[/budget = "0"/, 'budget = "200"', /policy\.origin_budget: must be a rate/],
		[/mode = "all"/, 'mode = "some"', /entitlement\.mode/],
		[/mode = "all"/, 'mode = "callback"', /entitlement\.url: must be set/],
		...["1 year", "0 s", "24", "31 days"].map(
			(lease): [RegExp, string, RegExp] => [
				/lease = "24 h"/,
				`lease = "${lease}"`,
				/entitlement\.lease: must be a time from "1 s" to "30 days"/,
			],
		),
		[
			/# url = .*/,
			'url = "http://subscribers.example/"',
			/entitlement\.url: must be an https:\/\/ address/,
		],
		[/keep_viewing = .*/, 'keep_viewing = "1 h"', /policy\.keep_viewing/],
		[/region = .*/, 'region = "south"', /region/],
	];
	for (const [from, to, names] of edits) {
		await writeFile(path, whole.replace(from, to));
		await t.rejects(
			openOperator(dir),
			{ code: "CONFIG_INVALID", message: names },
			to,
		);
	}
});

t.test("one process at a time works on an operator", async (t) => {
	const dir = t.testdir();
	const lock = await lockOperator(dir);
	await t.rejects(lockOperator(`${dir}/../${dir.split("/").at(-1)}`), {
		code: "OPERATOR_BUSY",
	});
	await mkdir(join(dir, "other"));
	await (await lockOperator(join(dir, "other"))).close();
	await lock.close();
	await (await lockOperator(dir)).close();
});

t.test(
	"one machine: the headend's node and a bootstrap node do not meet on one port",
	async (t) => {
		const dir = join(t.testdir(), "operator");
		const { config } = await initOperator(dir, { region });
		t.same(config.swarm, {
			bootstrap: ["127.0.0.1:49737"],
			host: "127.0.0.1",
			port: 49_738,
		});
		const other = join(t.testdirName, "other");
		const host = "10.0.0.2";
		t.match((await initOperator(other, { region, host })).config, {
			swarm: { bootstrap: ["10.0.0.2:49737"], host },
			broker: { url: "mqtt://10.0.0.2:1883" },
			origin: { host, port: 8480, url: "http://10.0.0.2:8480" },
			api: { host: "127.0.0.1" },
		});
	},
);
