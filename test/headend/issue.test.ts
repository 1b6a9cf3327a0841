import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "smol-toml";
import t from "tap";
import {
	issueBox,
	issueHeadend,
	readIssued,
} from "../../src/headend/operator/issue.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { unseal } from "../../src/wire/envelope.ts";
import type { BoxId, Region } from "../../src/wire/ids.ts";
import { keyPairFromSeed } from "../../src/wire/keys.ts";
import { certificate } from "../../src/wire/membership.ts";

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
	const sealed = Buffer.from(JSON.stringify(identity.certificate));
	const read = unseal(sealed, "issuer", certificate, operator.trust);
	t.match(read, {
		ok: true,
		value: { box, region, role: "box", serial: 'S"1' },
	});
	t.equal((await stat(join(dir, "identity.json"))).mode & 0o777, 0o600);
	t.match(parse(await readFile(join(dir, "larder.toml"), "utf8")), {
		identity: "identity.json",
		swarm: { bootstrap: ["10.0.0.1:49737"], reach: "direct" },
		broker: { url: "mqtt://10.0.0.1:1883" },
		origin: { url: operator.config.origin.url },
		store: { quota: "5 GiB" },
	});
	t.match(await readIssued(operator.dir, box), { box, serial: 'S"1', region });
	t.equal(await readIssued(operator.dir, "f".repeat(64) as BoxId), undefined);
	t.same(await readdir(join(root, "boxes")), ["a"]);
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

t.test("the headend keeps its membership", async (t) => {
	const operator = await initOperator(join(t.testdir(), "operator"), {
		region,
	});
	const first = await issueHeadend(operator);
	const again = await issueHeadend(operator);
	t.equal(again.box, first.box);
	t.match(unseal(again.certificate, "issuer", certificate, operator.trust), {
		ok: true,
		value: { role: "headend", box: first.box },
	});
});
