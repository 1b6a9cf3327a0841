// The registrar over a real folder and database; what it answers is read as a box reads it.
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import t from "tap";
import { DAY } from "../../../src/base/time.ts";
import { readIssuance } from "../../../src/control/issuances.ts";
import type { Actor } from "../../../src/headend/audit.ts";
import { removeBatch } from "../../../src/headend/enrol/batches.ts";
import { Requests } from "../../../src/headend/enrol/requests.ts";
import { boxes } from "../../../src/headend/fleet/views.ts";
import { issueBox, readIssued } from "../../../src/headend/operator/issue.ts";
import {
	cosignPurges,
	retireKeys,
	rotateKey,
} from "../../../src/headend/operator/rotate.ts";
import { issuance } from "../../../src/wire/enrol.ts";
import { unsealParsed } from "../../../src/wire/envelope.ts";
import type { BoxId, NetworkId } from "../../../src/wire/ids.ts";
import { readMandate } from "../../../src/wire/mandate.ts";
import { certificate } from "../../../src/wire/membership.ts";
import { openSealed } from "../../../src/wire/sealed.ts";
import { newBox, newTitle, REGION } from "../../control/operator.ts";
import { Applicant, OWN, openOffice, papersIn, SHARED } from "./office.ts";

t.setTimeout(180_000);

const ann: Actor = { name: "ann", address: "127.0.0.1" };

t.test("a box of the inventory is let in at once", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar, database, audit } = office;
	await registrar.takeStock(["SN-1"]);
	const box = new Applicant(operator, "SN-1");
	const said = await office.ask(box, await box.claim());
	const papers = papersIn(said);
	t.ok(Math.abs((said?.at ?? 0) - Date.now()) < DAY);
	t.equal(papers.region, REGION);
	const read = unsealParsed(
		papers.certificate,
		"issuer",
		certificate,
		operator.trust,
	);
	if (!read.ok) throw new Error(read.detail);
	t.match(read.value, {
		...{ box: box.id, serial: "SN-1", role: "box", region: REGION },
	});
	t.equal(read.value.notAfter - read.value.notBefore, 31 * DAY);
	const own = new X509Certificate(papers.chain);
	t.equal(own.subject, `CN=${box.id}`);
	t.equal(own.validFromDate.getTime(), read.value.notBefore);
	t.equal(own.validToDate.getTime(), read.value.notAfter);
	const spki = own.publicKey.export({ format: "der", type: "spki" });
	t.same(spki.subarray(-32), box.pair.publicKey);
	const sealed = Buffer.from(papers.secret, "base64");
	t.same(openSealed(box.pair, sealed), operator.networkSecret);
	const other = new Applicant(operator, "SN-2");
	t.equal(openSealed(other.pair, sealed), undefined, "for nobody else");

	t.match(await readIssued(operator.dir, box.id), { serial: "SN-1" });
	t.match(await boxes(database), [{ id: box.id, serial: "SN-1" }]);
	t.match(await registrar.list(10), [{ box: box.id, state: "issued" }]);
	t.match(await audit.entries(1), [
		{ who: "headend", action: "enrol-approve", subject: box.id },
	]);

	const elsewhere = await office.ask(other, await other.claim());
	t.equal(elsewhere?.refusal, "pending");
	t.match(await registrar.list(1), [
		{ serial: "SN-2", why: "not-in-inventory" },
	]);
	await registrar.takeStock([]);
	const third = new Applicant(operator, "SN-1");
	t.equal((await office.ask(third, await third.claim()))?.refusal, "pending");
	t.match(await registrar.view(), { waiting: 2, inventory: 0 });
});

t.test("a claim that was copied lets nobody in beside its box", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar, audit } = office;
	await registrar.takeStock(["SN-1"]);
	const box = new Applicant(operator, "SN-1");
	papersIn(await office.ask(box, await box.claim()));
	const copy = new Applicant(operator, "SN-1");
	const said = await office.ask(copy, await copy.claim());
	t.match(said, { refusal: "pending", papers: undefined });
	t.equal(await readIssued(operator.dir, copy.id), undefined);
	t.match(await registrar.list(1), [{ box: copy.id, why: "serial-live" }]);

	t.same(await registrar.approve(copy.id, ann), [box.id]);
	papersIn(copy.open(office.answers.all.at(-1)?.[1] ?? Buffer.alloc(0)));
	t.equal((await office.ask(box))?.refusal, "revoked");
	t.equal((await office.ask(box, await box.claim()))?.refusal, "revoked");
	papersIn(await office.ask(copy));
	t.match(await audit.entries(1), [
		{ who: "ann", action: "revoke", subject: box.id, why: /^SN-1 was given/ },
	]);
	await t.rejects(registrar.approve(copy.id, ann), {
		code: "ENROLMENT_CHANGED",
	});
});

t.test("a serial that larder issue gave is taken, too", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar } = office;
	await registrar.takeStock(["SN-1", "SN-2"]);
	const first = new Applicant(operator, "SN-1");
	papersIn(await office.ask(first, await first.claim()));
	await issueBox(operator, {
		serial: "SN-2",
		dir: join(t.testdirName, "box"),
	});
	const second = new Applicant(operator, "SN-2");
	t.equal((await office.ask(second, await second.claim()))?.refusal, "pending");
});

t.test("a claim that many know takes a person", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar, answers } = office;
	await registrar.takeStock(["SN-1", "SN-2"]);
	const box = new Applicant(operator, "SN-1", SHARED);
	t.equal((await office.ask(box, await box.claim()))?.refusal, "pending");
	const { message, nonce } = box.ask(await box.claim());
	await registrar.hear(box.id, message);
	t.match(await registrar.list(9), [
		{ box: box.id, claim: "shared", why: "shared-claim", state: "waiting" },
	]);
	t.same(await registrar.approve(box.id, ann), []);
	const said = box.open(answers.all.at(-1)?.[1] ?? Buffer.alloc(0));
	t.equal(said.nonce, nonce, "answered at once, to its last question");
	papersIn(said);
	papersIn(await office.ask(box));

	const other = new Applicant(operator, "SN-2", SHARED);
	await office.ask(other, await other.claim());
	t.equal(await registrar.reject({ box: other.id }, "unknown"), 1);
	const again = await office.ask(other, await other.claim());
	t.equal(again?.refusal, "rejected");
	await t.rejects(registrar.reject({ box: other.id }, "again"), {
		code: "ENROLMENT_CHANGED",
	});
	t.match(await registrar.list(1), [{ state: "rejected", why: "unknown" }]);

	const more = new Applicant(operator, "SN-3", SHARED);
	await office.ask(more, await more.claim());
	t.equal(await registrar.reject({ batch: SHARED }, "leaked"), 1);
	t.equal(await registrar.reject({ batch: SHARED }, "leaked"), 0);
});

t.test("who knows no claim is refused, counted and forgotten", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar, database } = office;
	await registrar.takeStock(["SN-1", "SN-2", "a b"]);
	const box = new Applicant(operator, "SN-1");
	const other = new Applicant(operator, "SN-2");
	const shared = new Applicant(operator, "SN-1", SHARED);
	const unknown = new Applicant(operator, "SN-1", "no-such");
	const bad: [Applicant, Buffer | undefined][] = [
		[box, undefined],
		[box, Buffer.alloc(32)],
		[box, await other.claim()],
		[box, await shared.claim()],
		[shared, await box.claim()],
		[unknown, await box.claim()],
	];
	for (const [who, claim] of bad)
		t.match(await office.ask(who, claim), {
			refusal: "bad-claim",
			papers: undefined,
		});
	const odd = new Applicant(operator, "a b");
	t.equal((await office.ask(odd, await odd.claim()))?.refusal, "bad-serial");
	await removeBatch(operator, OWN);
	const claim = Buffer.alloc(32);
	t.equal((await office.ask(other, claim))?.refusal, "bad-claim");

	const before = office.answers.all.length;
	const { message } = box.ask(claim, {
		network: newBox() as string as NetworkId,
	});
	await registrar.hear(box.id, message);
	await registrar.hear(other.id, box.ask(claim).message);
	await registrar.hear(other.id, Buffer.from("{}"));
	await registrar.hear(other.id, Buffer.from("?"));
	await registrar.hear(other.id, Buffer.alloc(20_000));
	t.equal(office.answers.all.length, before, "not even answered");
	t.same((await registrar.view()).dropped, {
		"bad-claim": 7,
		"bad-serial": 1,
		"wrong-network": 1,
		"bad-signature": 1,
		"bad-schema": 1,
		"not-json": 1,
		"too-large": 1,
	});
	t.same(await registrar.list(9), []);
	t.same(await boxes(database), []);
});

t.test("two that ask for one serial wait for a person", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar } = office;
	const first = new Applicant(operator, "SN-1");
	const second = new Applicant(operator, "SN-1");
	const claim = await first.claim();
	await office.ask(first, claim);
	t.match(await registrar.list(9), [{ box: first.id, why: "manual" }]);
	t.equal((await office.ask(second, claim))?.refusal, "pending");
	t.match(await registrar.list(9), [{ box: first.id, why: "contested" }]);
	await registrar.takeStock(["SN-1"]);
	t.equal((await office.ask(second, claim))?.refusal, "pending");
	t.equal((await office.ask(first, claim))?.refusal, "pending");
	t.equal((await registrar.list(9)).length, 1);
	await registrar.reject({ box: first.id }, "the other it is");
	papersIn(await office.ask(second, claim));
	t.equal((await office.ask(first, claim))?.refusal, "rejected");
});

t.test("nobody approves what they did not see", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar } = office;
	const box = new Applicant(operator, "SN-1");
	await office.ask(box, await box.claim());
	const live = await issueBox(operator, {
		serial: "SN-1",
		dir: join(t.testdirName, "box"),
	});
	await t.rejects(registrar.approve(box.id, ann), {
		code: "ENROLMENT_CHANGED",
	});
	t.notOk(office.isRevoked(live));
	t.match(await registrar.list(1), [{ why: "serial-live", state: "waiting" }]);
	t.same(await registrar.approve(box.id, ann), [live], "seen by now");
	await t.rejects(registrar.approve(newBox(), ann), {
		code: "ENROLMENT_CHANGED",
	});
});

t.test("a box on record renews and learns the time", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar } = office;
	const serial = 'issued "by hand"';
	const dir = join(t.testdirName, "box");
	const box = await issueBox(operator, { serial, dir });
	const id = "ab".repeat(16);
	const ask = async (who: BoxId, kind: "renew" | "time") => {
		const statement = await registrar.renew(who, { kind, id });
		if (statement === undefined) return undefined;
		const read = unsealParsed(statement, "issuer", issuance, operator.trust);
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	const renewed = await ask(box, "renew");
	t.match(renewed, { box, nonce: id });
	const { certificate: shown } = papersIn(renewed);
	const read = unsealParsed(shown, "issuer", certificate, operator.trust);
	t.match(read, { ok: true, value: { box, serial } });
	const time = await ask(box, "time");
	t.match(time, { box, nonce: id, papers: undefined, refusal: undefined });
	await office.revoke(box, "stolen");
	t.match(await ask(box, "renew"), { refusal: "revoked", papers: undefined });
	t.match(await ask(box, "time"), { refusal: "revoked" });
	t.match(await ask(newBox(), "renew"), { refusal: "revoked" });
	await ask(box, "time");
	await ask(box, "time");
	t.equal(await ask(box, "time"), undefined, "too often");
	t.match((await registrar.view()).dropped, { revoked: 5, "too-often": 1 });
});

t.test("one box, or one serial, is not all", async (t) => {
	let now = Date.now();
	const office = await openOffice(t, () => now);
	const { operator, registrar } = office;
	const claim = await new Applicant(operator, "SN-1").claim();
	for (let i = 0; i < 6; i++)
		await office.ask(new Applicant(operator, "SN-1"), claim);
	t.notOk(await office.ask(new Applicant(operator, "SN-1"), claim));
	const other = new Applicant(operator, "SN-2");
	t.ok(await office.ask(other, await other.claim()));
	now += 10_000;
	t.ok(await office.ask(new Applicant(operator, "SN-1"), claim));
	t.notOk(await office.ask(new Applicant(operator, "SN-1"), claim));

	// Whoever knows a claim that is shared has no end of serials, and still leaves the others be.
	const common = await new Applicant(operator, "x", SHARED).claim();
	let answered = 0;
	for (let i = 0; i < 60; i++) {
		const box = new Applicant(operator, `S-${i}`, SHARED);
		if (await office.ask(box, common)) answered++;
	}
	t.equal(answered, 50);
	t.match((await registrar.view()).dropped, { busy: 10 });
	const honest = new Applicant(operator, "SN-3");
	t.ok(await office.ask(honest, await honest.claim()));
});

t.test("those that wait are bounded, and nobody is pushed out", async (t) => {
	let now = Date.now();
	const { database, registrar } = await openOffice(t);
	const requests = new Requests(database, () => now);
	const nonce = "0".repeat(32);
	const wait = (serial: string, batch: string, claim: "own" | "shared") =>
		requests.wait({ box: newBox(), serial, batch, claim, nonce }, "manual");
	const first = { box: newBox(), serial: "first", batch: "a" } as const;
	t.ok(await requests.wait({ ...first, claim: "shared", nonce }, "manual"));
	now++;
	for (let i = 1; i < 1000; i++)
		if (!(await wait(`a-${i}`, "a", "shared"))) t.fail("too few");
	t.notOk(await wait("more", "a", "shared"), "the batch is full");
	t.ok(await requests.wait({ ...first, claim: "shared", nonce }, "manual"));
	t.ok(await wait("other", "b", "shared"));
	t.ok(await wait("own", "c", "own"));
	t.equal((await registrar.view()).waiting, 1002);
	t.equal((await requests.list(2000)).length, 1002);
	t.match(await requests.list(1), [first], "the longest first");
	now += 8 * DAY;
	await wait("late", "c", "own");
	await requests.prune();
	t.match(await requests.list(9), [{ serial: "late" }]);
});

t.test("an answer says which issuers count, and where to ask", async (t) => {
	const office = await openOffice(t);
	const { operator, registrar } = office;
	const url = "mqtts://enrol.example:8884";
	Object.assign(operator.config, { enrol: { url, headend_url: url } });
	const root = join(operator.dir, "keys", "root.json");
	const titles = Array.from({ length: 200 }, newTitle);
	await rotateKey(operator, "issuer", root);
	const { minimum } = await retireKeys(operator, "issuer", root, {
		...{ force: true, countOld: async () => 0 },
	});
	await cosignPurges(operator, titles, root);
	await operator.keyring.reread();

	await registrar.takeStock(["SN-1"]);
	const box = new Applicant(operator, "SN-1");
	const said = await office.ask(box, await box.claim());
	t.equal(papersIn(said).enrolUrl, url);
	const mandates = [said?.mandate, (await office.ask(box))?.mandate];
	for (const mandate of mandates)
		t.match(mandate && readMandate(mandate, operator.trust), {
			value: { minimum, purged: [] },
		});
	for (const [, answer] of office.answers.all)
		t.ok(
			answer.byteLength < 16_384,
			"it fits through where boxes enrol, whatever the root vouches for",
		);
	const refused = new Applicant(operator, "SN-2");
	t.ok((await office.ask(refused, Buffer.alloc(32)))?.mandate);
	const time = { kind: "time", id: "0".repeat(32) } as const;
	const envelope = await registrar.renew(box.id, time);
	const { trust } = operator;
	t.match(envelope && readIssuance(envelope, { box: box.id, trust }), {
		value: { mandate: said?.mandate, papers: undefined },
	});
});
