// How a box comes to another lease when the broker lets it in no more: over Mosquitto, from a registrar, whatever a thief had told it.
import { appendFile, chown, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BoxClock } from "../../src/agent/clock.ts";
import { readIdentity } from "../../src/agent/identity.ts";
import { Lease } from "../../src/agent/lease.ts";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Enrolling } from "../../src/control/enrolling.ts";
import { freeTcpPort } from "../../src/desk/ports.ts";
import { Enrolment } from "../../src/headend/enrol/enrolment.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import { certifyMember } from "../../src/headend/operator/lease.ts";
import { openOperator } from "../../src/headend/operator/operator.ts";
import { retireKeys, rotateKey } from "../../src/headend/operator/rotate.ts";
import { renewBroker } from "../../src/headend/rekeying.ts";
import { enrolAccess } from "../../src/headend/tls/access.ts";
import { certifyBox } from "../../src/headend/tls/authority.ts";
import { readPapers } from "../../src/headend/tls/keys.ts";
import { makeServer } from "../../src/headend/tls/server.ts";
import { grantOf, parseEnvelope, seal } from "../../src/wire/envelope.ts";
import { Happenings, heard } from "../control/operator.ts";
import { openStores } from "../headend/enrol/office.ts";
import { newPapers, newServer } from "../headend/tls/papers.ts";
import { newScene, startMosquitto } from "../headend/tls/shipped.ts";

t.setTimeout(180_000);

const LATER = 9 * 365 * DAY;
const ALERT = "SSL routines:ssl3_read_bytes:tlsv1 alert unknown ca";
const EXPIRED = "not the operator's broker: expired: CN=127.0.0.1";

/** An operator with the listener where boxes enrol, and a box that it issued. */
async function openScene(t: Test) {
	const scene = await newScene(t);
	const { enrolPort, enrolHeadendPort } = scene.ports;
	const at = (port: number) => `mqtts://127.0.0.1:${port}`;
	const { dir } = scene.operator;
	await appendFile(
		join(dir, "operator.toml"),
		`\n[enrol]\nurl = "${at(enrolPort)}"\nheadend_url = "${at(enrolHeadendPort)}"\n`,
	);
	const operator = await openOperator(dir);
	const box = join(t.testdirName, "box");
	await issueBox(operator, { serial: "SN-1", dir: box });
	const path = join(box, "identity.json");
	const clock = new BoxClock(Date.now() - DAY);
	const identity = await readIdentity(path, clock);
	await clock.begin(join(box, "time.json"), identityOf(identity), silent);
	t.teardown(() => clock.close());
	const root = join(dir, "keys", "root.json");
	return {
		...{ scene, operator, path, clock, identity, url: at(enrolPort) },
		/** A new key for the issuer, and the one before it counts no more. */
		async replaceIssuer() {
			const { granted } = await rotateKey(operator, "issuer", root);
			const sure = { force: true, countOld: async () => 0 };
			await retireKeys(operator, "issuer", root, sure);
			await operator.keyring.reread();
			const fleet = { revoked: async () => [] };
			await renewBroker({ operator, fleet }, true);
			return granted.serial;
		},
		/** Boxes are heard and answered from now on. */
		async listen() {
			const broker = await startMosquitto(t, scene, "mosquitto-enrol.conf");
			const access = await enrolAccess(operator, at(enrolHeadendPort));
			const stores = await openStores(t, operator, silent);
			const lines = new Happenings<string>();
			const log = heard(lines);
			const enrolment = new Enrolment({ ...stores, access, log });
			t.teardown(() => enrolment.close());
			enrolment.start();
			const isUp = (line: string) => line.startsWith("broker connected");
			await lines.until(() => lines.all.filter(isUp).length === 2);
			return broker;
		},
		/** Resolves when the box has another lease. */
		async renewal(trouble: string): Promise<void> {
			const renewed = Promise.withResolvers<void>();
			const lease = new Lease({
				...{ identity, clock, log: silent, round: 20, stay: 200 },
				control: {
					...{ connected: false, trouble },
					ask: async () => {
						throw new LarderError("BROKER_FAILED", "not connected");
					},
					nudge: () => renewed.resolve(),
				},
				onRenewed: () => undefined,
			});
			t.teardown(() => lease.close());
			await renewed.promise;
		},
	};
}

function identityOf({
	boxId: box,
	region,
	trust,
}: Awaited<ReturnType<typeof readIdentity>>) {
	return { box, region, trust };
}

function serialIn({
	envelope,
}: Pick<Awaited<ReturnType<typeof readIdentity>>, "envelope">) {
	const read = grantOf(envelope.grant);
	return read.ok ? read.value.serial : 0;
}

t.test("a box whose issuer was retired while it was off", async (t) => {
	const box = await openScene(t);
	const { identity, path, clock } = box;
	const serial = await box.replaceIssuer();
	await box.listen();
	t.not(serialIn(identity), serial);
	await box.renewal(ALERT);
	t.equal(serialIn(identity), serial);
	const again = await readIdentity(path, clock);
	t.equal(serialIn(again), serial);
	t.equal(again.trust.minimum.get("issuer"), serial, "and it stays retired");
	t.same(again.enrolUrls, [box.url]);
});

t.test("a box whom a thief of the issuer's key told things", async (t) => {
	const box = await openScene(t);
	const { identity, operator, clock, path } = box;
	const { network, region, signers } = operator;
	const { authority } = await readPapers(operator);
	const at = Date.now() + LATER;
	const say = (said: object) => {
		const read = parseEnvelope(JSON.parse(`${seal(signers.issuer, said)}`));
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	const said = { network, box: identity.boxId, nonce: "0".repeat(32), at };
	clock.learn({ said, envelope: say(said), tookUpTo: 0 });
	const dates = { notBefore: at, notAfter: at + 200 * DAY };
	const member = { box: identity.boxId, serial: "SN-1", region } as const;
	for (const enrolUrl of [
		`mqtts://127.0.0.1:${await freeTcpPort()}`,
		"mqtts://name:password@127.0.0.1:1",
	])
		await identity.renew({
			...{ region, enrolUrl, secret: "" },
			certificate: certifyMember(operator, { ...member, role: "box" }, dates),
			chain: await certifyBox(authority, identity.boxId, dates),
		});
	clock.raise(identity.certificate.notBefore, identity.envelope);
	t.ok(clock.now() >= at);
	t.same(identity.enrolUrls, ["mqtts://name:password@127.0.0.1:1", box.url]);

	const serial = await box.replaceIssuer();
	await box.listen();
	await box.renewal(EXPIRED);
	t.equal(serialIn(identity), serial);
	t.ok(Math.abs(clock.now() - Date.now()) < DAY, "it knows the time");
	t.ok(clock.isKnown);
	t.same((await readIdentity(path, clock)).enrolUrls, [box.url]);
});

t.test("a box that was issued before boxes could enrol", async (t) => {
	const box = await openScene(t);
	const { identity, operator, path, clock } = box;
	const file = JSON.parse(await readFile(path, "utf8"));
	delete file.enrolUrl;
	await writeFile(path, JSON.stringify(file));
	const old = await readIdentity(path, clock);
	t.same(old.enrolUrls, []);
	const lines = new Happenings<string>();
	const lease = new Lease({
		...{ identity: old, clock, log: heard(lines), round: 1e9 },
		control: {
			...{ connected: false, trouble: ALERT, nudge() {} },
			ask: async () => {
				throw new Error("");
			},
		},
		onRenewed: () => undefined,
	});
	t.teardown(() => lease.close());
	for (const _ of [1, 2]) lease.look();
	const lost = lines.all.filter((it) => it.includes("issue it a new identity"));
	t.equal(lost.length, 1, "said once");

	const { region } = operator;
	const papers = {
		...{ region, certificate: identity.envelope, secret: "", chain: "" },
	};
	await old.renew({ ...papers, enrolUrl: "mqtts://a.example:1" });
	t.same(old.enrolUrls, ["mqtts://a.example:1"], "told with a lease");
	await old.renew({ ...papers, enrolUrl: "mqtts://b.example:1" });
	await old.renew(papers);
	const both = ["mqtts://b.example:1", "mqtts://a.example:1"];
	t.same(old.enrolUrls, both, "the first is not forgotten");
	t.same((await readIdentity(path, clock)).enrolUrls, both);
	await old.renew({ ...papers, enrolUrl: "mqtts://a.example:1" });
	t.same(old.enrolUrls, ["mqtts://a.example:1"]);
});

/** Has the listener show another certificate, without its user being another. */
async function show(
	{ scene }: Awaited<ReturnType<typeof openScene>>,
	{ cert, key }: { readonly cert: string; readonly key: string },
) {
	const file = join(scene.folder.dir, "server.pem");
	const { uid, gid } = await stat(file);
	await writeFile(file, cert + key);
	await chown(file, uid, gid);
}

t.test("at the listener no date is wrong", async (t) => {
	const box = await openScene(t);
	const long = Date.now() - LATER;
	const papers = await readPapers(box.operator);
	const broker = await box.listen();
	await show(box, await makeServer(papers, ["127.0.0.1"], long));
	await broker.reload();
	await box.renewal(EXPIRED);
	t.pass("though its certificate ended years ago");
});

t.test("but who shows them", async (t) => {
	const box = await openScene(t);
	const { identity, operator, scene, url } = box;
	const { ca, keyPair } = identity;
	if (ca === undefined) throw new Error("no authority");
	const lines = new Happenings<string>();
	const way = new Enrolling({
		...{ url, ca, identity: identityOf(identity), log: heard(lines) },
		introduction: { keyPair, serial: "SN-1" },
		onAnswer: () => undefined,
		timing: { base: 20, cap: 100 },
	});
	t.teardown(() => way.close());
	const stolen = await readPapers(operator);
	await show(box, await newServer((await newPapers()).authority));
	const broker = await startMosquitto(t, scene, "mosquitto-enrol.conf");
	way.start();
	await lines.until((line) => line.includes("untrusted"));

	const serial = await box.replaceIssuer();
	identity.trust.minimum.set("issuer", serial);
	await show(box, await makeServer(stolen, ["127.0.0.1"], Date.now()));
	await broker.reload();
	await lines.until((line) => line.includes("retired-key"));
	const papers = await readPapers(operator);
	await show(box, await makeServer(papers, ["127.0.0.1"], Date.now()));
	await broker.reload();
	await lines.until((line) => line.startsWith("broker connected"));
});
