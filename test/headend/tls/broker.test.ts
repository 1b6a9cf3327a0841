// The embedded broker with TLS, and revocation lists as they follow one another.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../../src/base/log.ts";
import { startBroker } from "../../../src/headend/control/broker.ts";
import { endSession } from "../../../src/headend/control/ending.ts";
import { openOperator } from "../../../src/headend/operator/operator.ts";
import { headendAccess } from "../../../src/headend/tls/access.ts";
import { embeddedTls, refuseRevoked } from "../../../src/headend/tls/broker.ts";
import { readPapers, writeIssuer } from "../../../src/headend/tls/keys.ts";
import { headendNames } from "../../../src/headend/tls/mosquitto.ts";
import { splitLists } from "../../../src/headend/tls/x509.ts";
import { generateKeyPair, keyPairFromSeed } from "../../../src/wire/keys.ts";
import { downTopic } from "../../../src/wire/topics.ts";
import { newBox } from "../../control/operator.ts";
import { days, newPapers } from "./papers.ts";
import { enter, newClient, newScene } from "./shipped.ts";

t.test("the embedded broker asks for certificates, too", async (t) => {
	const scene = await newScene(t);
	const { operator, papers, ports } = scene;
	const gone = await newClient(papers);
	await refuseRevoked(operator, [gone.box]);
	const broker = await startBroker({
		...{ host: "0.0.0.0", port: ports.port, log: silent },
		tls: await embeddedTls(operator, "0.0.0.0"),
	});
	t.teardown(() => broker.close());
	const four = { protocolVersion: 4 } as const;
	const [a, b] = [await newClient(papers), await newClient(papers)];
	const one = await enter(t, scene, a, four);
	await enter(t, scene, b, four);
	const access = await headendAccess(operator);
	const [, clientId] = headendNames(operator.network);
	const { cert = "", key = "" } = (await access.tls?.(clientId)) ?? {};
	const mouth = await enter(t, scene, undefined, {
		...four,
		cert,
		key,
		clientId,
	});
	await one.subscribeAsync(downTopic(a.box, "command"), { qos: 1 });
	await mouth.publishAsync(downTopic(a.box, "command"), "x", { qos: 1 });
	await one.got.until(() => true);
	await t.rejects(one.subscribeAsync(downTopic(b.box, "command")));

	for (const clientId of [b.box, "headend-1"])
		await t.rejects(
			enter(t, scene, a, { ...four, clientId }),
			/Identifier rejected/,
		);
	const strangers = {
		"no certificate": undefined,
		expired: await newClient(papers, days(-30, -1)),
		"of another network": await newClient(await newPapers()),
		revoked: gone,
	};
	for (const [name, shown] of Object.entries(strangers))
		await t.rejects(
			enter(t, scene, shown, { ...four, ...(!shown && { clientId: a.box }) }),
			{ message: /^(?!Connection refused)/ },
			name,
		);
	await refuseRevoked(operator, [gone.box, b.box]);
	broker.renew(await embeddedTls(operator, "0.0.0.0"));
	await t.rejects(enter(t, scene, b, four), "revoked while it runs");
	t.ok(one.connected);
	const closed = new Promise<void>((resolve) => {
		one.once("close", () => resolve());
	});
	await endSession(access, a.box);
	await closed;
});

t.test("an operator's own command has the broker read the list", async (t) => {
	const { operator, folder } = await newScene(t);
	const path = join(operator.dir, "operator.toml");
	const text = await readFile(path, "utf8");
	const copy = `reload = ["cp", "${folder.dir}/crl.pem", "${folder.dir}/copy"]`;
	await writeFile(path, text.replace("[broker]", `[broker]\n${copy}`));
	const box = newBox();
	await refuseRevoked(await openOperator(operator.dir), [box]);
	const [list = "", copied] = await Promise.all(
		["crl.pem", "copy"].map((it) => readFile(join(folder.dir, it), "utf8")),
	);
	t.equal(copied, list);
	await writeFile(
		path,
		text.replace("[broker]", '[broker]\nreload = ["false"]'),
	);
	await t.rejects(refuseRevoked(await openOperator(operator.dir), [box]), {
		code: "COMMAND_FAILED",
	});
});

t.test(
	"who came by an earlier issuer is let in for a lease's time",
	async (t) => {
		const { operator, folder } = await newScene(t);
		const lists = async () =>
			splitLists(await readFile(join(folder.dir, "crl.pem"), "utf8"));
		const [, first] = await lists();
		const root = JSON.parse(
			await readFile(join(operator.dir, "keys/root.json"), "utf8"),
		) as { seed: string };
		const pair = generateKeyPair();
		await writeIssuer(
			join(operator.dir, "keys"),
			keyPairFromSeed(Buffer.from(root.seed, "hex")),
			{ publicKey: pair.publicKey, serial: 2 },
			Date.now(),
		);
		const issuer = { ...operator.signers.issuer, pair };
		const later = { ...operator, signers: { ...operator.signers, issuer } };
		t.equal((await readPapers(later)).authority.pair, pair);
		await refuseRevoked(later, []);
		const after = await lists();
		t.equal(after.length, 3);
		t.equal(after[2], first);
		await refuseRevoked(later, [], () => Date.now() + 31 * 86_400_000);
		t.equal((await lists()).length, 2);
	},
);
