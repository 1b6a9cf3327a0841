// What is made in the operator's folder for the factory: batches and claims.
import { randomBytes } from "node:crypto";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import {
	addBatch,
	listBatches,
	readBatch,
	removeBatch,
} from "../../../src/headend/enrol/batches.ts";
import { writeClaims } from "../../../src/headend/enrol/claims.ts";
import { readSerials } from "../../../src/headend/enrol/serials.ts";
import { initOperator } from "../../../src/headend/operator/operator.ts";
import { claimOf, enrolFile } from "../../../src/wire/enrol.ts";
import { parseMessage } from "../../../src/wire/json.ts";
import { REGION } from "../../control/operator.ts";

const url = "mqtts://enrol.example:8884";

async function newOperator(t: Test, enrols = true) {
	const dir = join(t.testdir(), "operator");
	const operator = await initOperator(dir, { region: REGION });
	const enrol = { url, headend_url: "mqtts://127.0.0.1:8885" };
	return enrols
		? { ...operator, config: { ...operator.config, enrol } }
		: operator;
}

t.test("batches are made, listed and removed", async (t) => {
	const operator = await newOperator(t);
	t.same(await listBatches(operator), []);
	const made = await addBatch(operator, "b2", false, () => 1000);
	t.same(made, { name: "b2", shared: false, createdAt: 1000 });
	await addBatch(operator, "b1", true, () => 2000);
	t.same(await listBatches(operator), [
		{ name: "b1", shared: true, createdAt: 2000 },
		{ name: "b2", shared: false, createdAt: 1000 },
	]);
	const path = join(operator.dir, "keys", "batches", "b2.json");
	t.equal((await stat(path)).mode & 0o777, 0o600);
	t.equal((await stat(dirname(path))).mode & 0o777, 0o700);
	await chmod(path, 0o644);
	await t.rejects(readBatch(operator, "b2"), {
		code: "OPERATOR_INVALID",
		message: /chmod 600/,
	});
	await chmod(path, 0o600);
	const batch = await readBatch(operator, "b2");
	t.match(batch?.secret, /^[0-9a-f]{64}$/);
	t.not(batch?.secret, (await readBatch(operator, "b1"))?.secret);
	for (const name of ["b2", "B", "../b", "", "a/b", "x".repeat(33)])
		await t.rejects(addBatch(operator, name, false), {
			code: "CONFIG_INVALID",
		});
	await removeBatch(operator, "b2");
	t.equal(await readBatch(operator, "b2"), undefined);
	await t.rejects(removeBatch(operator, "b2"), { code: "CONFIG_INVALID" });
	t.equal(await readBatch(operator, "../../operator"), undefined);
	await writeFile(path, "{}");
	await t.rejects(readBatch(operator, "b2"), { code: "OPERATOR_INVALID" });
});

t.test("each serial of a list gets its own claim", async (t) => {
	const operator = await newOperator(t);
	await addBatch(operator, "b1", false);
	const secret = Buffer.from(
		(await readBatch(operator, "b1"))?.secret ?? "",
		"hex",
	);
	const out = join(t.testdirName, "out");
	const serials = ["SN-1", "SN-2", "a.b_c:d+e"];
	const seen: string[] = [];
	const settings = { batch: "b1", serials, out };
	t.match(
		await writeClaims(operator, {
			...settings,
			onProgress: (done, total) => void seen.push(`${done}/${total}`),
		}),
		{ written: 3, kept: 0 },
	);
	t.same(seen, ["1/3", "2/3", "3/3"]);
	for (const serial of serials) {
		const path = join(out, serial, "enrol.json");
		t.equal((await stat(path)).mode & 0o777, 0o600);
		const read = parseMessage(enrolFile, await readFile(path));
		t.match(read, {
			ok: true,
			value: {
				network: operator.network,
				rootKey: operator.rootKey.toString("hex"),
				ca: /BEGIN CERTIFICATE/,
				...{ url, serial, batch: "b1" },
				claim: claimOf(secret, serial).toString("hex"),
			},
		});
		t.notMatch(await readFile(path, "utf8"), secret.toString("hex"));
	}
	// Torn by a power loss, or never written: it goes on from there.
	await writeFile(join(out, "SN-2", "enrol.json"), '{"v":');
	t.match(
		await writeClaims(operator, { ...settings, serials: [...serials, "SN-4"] }),
		{ written: 2, kept: 2 },
	);
	t.match(
		await readFile(join(out, "SN-2", "enrol.json"), "utf8"),
		/"serial": "SN-2"/,
	);
	t.same(await readdir(join(out, "SN-2")), ["enrol.json"]);
});

t.test("a claim that is shared goes into the image", async (t) => {
	const operator = await newOperator(t);
	await addBatch(operator, "b1", true);
	const out = join(t.testdirName, "image");
	t.match(await writeClaims(operator, { batch: "b1", out }), { written: 1 });
	const file = JSON.parse(await readFile(join(out, "enrol.json"), "utf8"));
	t.equal(file.serial, "");
	const bytes = Buffer.from(JSON.stringify(file));
	t.notOk(parseMessage(enrolFile, bytes).ok, "the image has to fill it in");
	const filled = Buffer.from(JSON.stringify({ ...file, serial: "SN-1" }));
	t.ok(parseMessage(enrolFile, filled).ok);
	await t.rejects(
		writeClaims(operator, { batch: "b1", out, serials: ["SN-1"] }),
		{ code: "CONFIG_INVALID" },
	);
});

t.test("claims want a batch and a place to enrol", async (t) => {
	const operator = await newOperator(t);
	const out = join(t.testdirName, "out");
	const settings = { batch: "b1", serials: ["SN-1"], out };
	await t.rejects(writeClaims(operator, settings), { code: "CONFIG_INVALID" });
	await addBatch(operator, "b1", false);
	await t.rejects(writeClaims(operator, { batch: "b1", out }), {
		code: "CONFIG_INVALID",
	});
	const { enrol: _, ...config } = operator.config;
	await t.rejects(writeClaims({ ...operator, config }, settings), {
		message: /no \[enrol\]/,
	});
	t.notOk((await readdir(t.testdirName)).includes("out"));
});

t.test("lists of serials as factories write them", async (t) => {
	const path = join(t.testdir(), "serials.csv");
	const read = async (text: string) => {
		await writeFile(path, text);
		return await readSerials(path);
	};
	t.same(await read("SN-1\nSN-2\n"), ["SN-1", "SN-2"]);
	t.same(await read("\ufeffSerial,MAC\r\n SN-1 ,aa:bb\r\n\r\n"), ["SN-1"]);
	t.same(await read("SERIAL001\n"), ["SERIAL001"]);
	t.same(await read('Serial number;x\n"SN-1";1\nSN-1\tx\n'), ["SN-1"]);
	for (const bad of [
		"..",
		"../../etc",
		"a/b",
		"a\\b",
		".hidden",
		"-rf",
		"a b",
		"a\0b",
		"\u001b[2J",
		"é",
		"x".repeat(65),
	])
		await t.rejects(
			read(`SN-1\n${bad}\n`),
			{ code: "CONFIG_INVALID", message: /line 2: / },
			JSON.stringify(bad),
		);
	await t.rejects(read("serial\n"), { message: /no serial numbers/ });
	await t.rejects(readSerials(`${path}${randomBytes(4).toString("hex")}`), {
		code: "CONFIG_INVALID",
	});
});
