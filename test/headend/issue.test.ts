import { X509Certificate } from "node:crypto";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import t from "tap";
import { loadConfig } from "../../src/agent/config.ts";
import { DAY } from "../../src/base/time.ts";
import {
	issueBox,
	issueHeadend,
	readIssued,
} from "../../src/headend/operator/issue.ts";
import {
	initOperator,
	type Operator,
	openOperator,
} from "../../src/headend/operator/operator.ts";
import { rotateKey } from "../../src/headend/operator/rotate.ts";
import { MAX_DIALLED } from "../../src/swarm/dialler.ts";
import { type Envelope, unsealParsed } from "../../src/wire/envelope.ts";
import type { BoxId, Region } from "../../src/wire/ids.ts";
import { keyPairFromSeed } from "../../src/wire/keys.ts";
import { type Certificate, certificate } from "../../src/wire/membership.ts";

const region = "north-1" as Region;

t.test("a box's folder is all it needs to join", async (t) => {
	const root = t.testdir();
	const operator = await initOperator(join(root, "operator"), {
		region,
		brokerUrl: "mqtt://10.0.0.1:1883",
		bootstrap: ["10.0.0.1:49737"],
	});
	const dir = join(root, "boxes", "a");
	const box = await issueBox(operator, { serial: 'S"1', dir, quota: "5 GiB" });
	const identity = JSON.parse(
		await readFile(join(dir, "identity.json"), "utf8"),
	);
	t.equal(
		keyPairFromSeed(Buffer.from(identity.seed, "hex")).publicKey.toString(
			"hex",
		),
		box,
	);
	t.equal(identity.networkSecret, operator.networkSecret.toString("hex"));
	const said = certificateIn(operator, identity.certificate);
	t.match(said, { box, region, role: "box", serial: 'S"1' });
	const left = said.notAfter - Date.now();
	t.ok(left > 29 * DAY && left <= 30 * DAY, "a lease of 30 days");
	const ca = new X509Certificate(identity.ca);
	const [own, issuer] = certificatesIn(identity.chain);
	t.equal(own?.subject, `CN=${box}`);
	t.ok(own && issuer && own.verify(issuer.publicKey));
	t.ok(issuer?.verify(ca.publicKey));
	t.equal(own?.validToDate.getTime(), said.notAfter);
	t.equal(own?.validFromDate.getTime(), said.notBefore);
	t.notOk("enrolUrl" in identity);
	t.equal((await stat(join(dir, "identity.json"))).mode & 0o777, 0o600);
	t.match(parse(await readFile(join(dir, "larder.toml"), "utf8")), {
		swarm: { bootstrap: ["10.0.0.1:49737"] },
		broker: { url: "mqtt://10.0.0.1:1883" },
		origin: { url: operator.config.origin.url },
		store: { quota: "5 GiB" },
	});
	t.match(await readIssued(operator.dir, box), { box, serial: 'S"1', region });
	t.equal(await readIssued(operator.dir, "f".repeat(64) as BoxId), undefined);
	t.same(await readdir(join(root, "boxes")), ["a"]);
});

t.test(
	"larder.toml shows every key of a box, each with its default",
	async (t) => {
		const root = t.testdir();
		const operator = await initOperator(join(root, "operator"), { region });
		const dir = join(root, "box");
		await issueBox(operator, { serial: "1", dir });
		const path = join(dir, "larder.toml");
		const text = await readFile(path, "utf8");
		t.match(text, `Up to ${MAX_DIALLED} connections more are kept`);
		const silent = await loadConfig(path);
		t.equal(silent.data, join(dir, "data"));

		const free = /^# ((interface|username|password_file|group|ca) = )/gm;
		const said = text.replace(/^# (\w+ = (?!.*#))/gm, "$1");
		const keys = Object.entries(parse(said)).flatMap(([name, value]) =>
			typeof value === "object" && !Array.isArray(value)
				? Object.keys(value).map((key) => `${name}.${key}`)
				: [name],
		);
		const source = await readFile(
			join(import.meta.dirname, "../../src/agent/config.ts"),
			"utf8",
		);
		const known = [
			...source.matchAll(/^\t"?([a-z_.]+)"?: (?:must|may|free)\(/gm),
		].map(([, key = ""]) => key);
		t.ok(known.length > 20);
		t.same(new Set(keys), new Set(known));

		const optional = text.match(free) ?? [];
		t.equal(optional.length, 5, "what has no default");
		await writeFile(
			path,
			said.replace(
				/^(interface|username|password_file|group|ca) = /gm,
				"# $1 = ",
			),
		);
		t.same(await loadConfig(path), silent, "said or not, they mean the same");
		await writeFile(path, said);
		t.match((await loadConfig(path)).broker, { username: "box" });
	},
);

t.test("what is set for a box is what it reads", async (t) => {
	const root = t.testdir();
	const operator = await initOperator(join(root, "operator"), { region });
	const dir = join(root, "box");
	await issueBox(operator, {
		serial: "1",
		dir,
		data: "/shards",
		logLevel: "debug",
		swarmHost: "127.0.0.2",
		swarmPort: 1,
		reach: "direct",
		maxPeers: 2,
		tcp: false,
		tcpPort: 3,
		quota: "4 GiB",
		streamingShare: 0.5,
		up: "6 KiB/s",
		down: "7 KiB/s",
		originRate: "8 KiB/s",
		takeover: "9 s",
		zone: "Europe/Berlin",
		windows: '[{ hours = "1-6" }]',
		gatewayHost: "127.0.0.3",
		gatewayPort: 10,
		playerToken: false,
		playerOrigins: ["https://tv.example"],
		socket: "s",
		socketGroup: "tv",
	});
	t.match(await loadConfig(join(dir, "larder.toml")), {
		data: "/shards",
		logLevel: "debug",
		swarm: {
			host: "127.0.0.2",
			port: 1,
			reach: "direct",
			maxPeers: 2,
			tcp: false,
			tcpPort: 3,
		},
		store: { quota: { bytes: 4 * 1024 ** 3 }, streamingShare: 0.5 },
		rates: { up: 6 * 1024, down: 7 * 1024, origin: 8 * 1024 },
		fill: {
			takeover: 9000,
			zone: "Europe/Berlin",
			windows: [{ from: 1, to: 6 }],
		},
		gateway: {
			host: "127.0.0.3",
			port: 10,
			token: false,
			origins: ["https://tv.example"],
		},
		ipc: { socket: join(dir, "s"), group: "tv" },
	});
});

t.test("a folder in use and a serial without end are refused", async (t) => {
	const root = t.testdir({ used: { file: "" } });
	const operator = await initOperator(join(root, "operator"), { region });
	await t.rejects(
		issueBox(operator, { serial: "1", dir: join(root, "used") }),
		{ code: "CONFIG_INVALID" },
	);
	await t.rejects(
		issueBox(operator, { serial: "x".repeat(65), dir: join(root, "b") }),
		{ code: "CONFIG_INVALID" },
	);
	t.same(await readdir(join(operator.dir, "issued")), []);
});

t.test("a serial has one live key", async (t) => {
	const root = t.testdir();
	const operator = await initOperator(join(root, "operator"), { region });
	const issue = (name: string, serial: string, settings = {}) =>
		issueBox(operator, { serial, dir: join(root, name), ...settings });
	const first = await issue("a", "1");
	await issue("b", "2");
	await t.rejects(issue("c", "1"), {
		code: "REQUEST_INVALID",
		message: new RegExp(first.slice(0, 8)),
	});
	const asked: unknown[] = [];
	const refuse = async (...args: unknown[]) => {
		asked.push(args);
		throw new Error("no");
	};
	await t.rejects(issue("c", "1", { makeWay: refuse }), { message: "no" });
	t.match(asked, [[[first], /^[0-9a-f]{64}$/]]);
	t.same((await readdir(root)).toSorted(), ["a", "b", "operator"]);
	t.equal((await readdir(join(operator.dir, "issued"))).length, 2);
	const next = await issue("c", "1", { makeWay: async () => undefined });
	t.match(await readIssued(operator.dir, next), { serial: "1" });
});

t.test("a box is told where to ask again", async (t) => {
	const dir = join(t.testdir(), "operator");
	await initOperator(dir, { region });
	const path = join(dir, "operator.toml");
	const text = await readFile(path, "utf8");
	await writeFile(path, text.replace(/^# (?=\[enrol\]|url = |headend_)/gm, ""));
	const operator = await openOperator(dir);
	const box = join(t.testdirName, "box");
	await issueBox(operator, { serial: "1", dir: box });
	const identity = await readFile(join(box, "identity.json"), "utf8");
	t.equal(JSON.parse(identity).enrolUrl, "mqtts://127.0.0.1:8884");
	for (const url of ["mqtt://a:1", "https://a", "mqtts://u:p@a:1"]) {
		await writeFile(
			path,
			`${text}\n[enrol]\nurl = "${url}"\nheadend_url = "mqtts://b:1"\n`,
		);
		await t.rejects(openOperator(dir), {
			code: "CONFIG_INVALID",
			message: /enrol\.url/,
		});
	}
});

t.test("the headend renews its membership and keeps its key", async (t) => {
	const operator = await initOperator(join(t.testdir(), "operator"), {
		region,
	});
	const at = (days: number) => () => Date.now() + days * DAY;
	const first = await issueHeadend(operator);
	t.match(certificateIn(operator, first.certificate), {
		role: "headend",
		box: first.box,
	});
	const root = join(operator.dir, "keys/root.json");
	const { granted } = await rotateKey(operator, "issuer", root);
	await operator.keyring.reread();
	operator.trust.minimum.set("issuer", granted.serial);
	const anew = await issueHeadend(operator);
	t.equal(anew.box, first.box, "the same by a new issuer");
	t.match(certificateIn(operator, anew.certificate), { role: "headend" });
	t.equal(anew.box, first.box);
	const again = await issueHeadend(operator, at(9));
	t.same(again, anew, "more than two thirds are left");
	const later = await issueHeadend(operator, at(11));
	t.equal(later.box, first.box);
	const said = certificateIn(operator, later.certificate);
	t.ok(said.notAfter > Date.now() + 40 * DAY);
	t.same(await issueHeadend(operator, at(12)), later, "and it is kept");
	const ended = await issueHeadend(operator, at(400));
	t.not(ended.certificate.payload, later.certificate.payload);
	const before = await issueHeadend(operator);
	t.not(before.certificate.payload, ended.certificate.payload, "not yet valid");
	const file = join(operator.dir, "keys", "headend.json");
	await chmod(file, 0o644);
	await t.rejects(
		issueHeadend(operator),
		{ code: "OPERATOR_INVALID", message: /chmod 600/ },
		"a key that others can read",
	);
	await chmod(file, 0o600);
	await writeFile(file, "{}");
	await t.rejects(issueHeadend(operator), { code: "OPERATOR_INVALID" });
});

function certificateIn({ trust }: Operator, shown: Envelope): Certificate {
	const read = unsealParsed(shown, "issuer", certificate, trust);
	if (!read.ok) throw new Error(read.reason);
	return read.value;
}

function certificatesIn(chain: string): X509Certificate[] {
	const blocks = chain.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g);
	return (blocks ?? []).map((block) => new X509Certificate(block));
}
