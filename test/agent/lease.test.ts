import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BoxClock } from "../../src/agent/clock.ts";
import { readIdentity } from "../../src/agent/identity.ts";
import { Lease } from "../../src/agent/lease.ts";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import type { Asked, Fresh } from "../../src/control/issuances.ts";
import { stillCounts } from "../../src/control/verify.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import { certifyMember } from "../../src/headend/operator/lease.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { rotateKey } from "../../src/headend/operator/rotate.ts";
import { parseEnvelope, seal } from "../../src/wire/envelope.ts";
import { region } from "../headend/fixture.ts";

const ISSUED = Date.UTC(2026, 0, 1);

/** A box as it was issued, and a headend that answers as the test says. */
async function scene(t: Test) {
	const dir = t.testdir();
	const operator = await initOperator(join(dir, "operator"), { region });
	const box = join(dir, "box");
	const id = await issueBox(operator, { serial: "1", dir: box }, () => ISSUED);
	const path = join(box, "identity.json");
	const ticks = { now: 0 };
	const clock = new BoxClock(ISSUED, () => ticks.now);
	const identity = await readIdentity(path, clock);
	const asked: Asked[] = [];
	const answers: { at: number; refusal?: string; silent?: true }[] = [];
	const answer = async (kind: Asked): Promise<Fresh> => {
		asked.push(kind);
		const { at, refusal, silent: mute } = answers.shift() ?? { at: ISSUED };
		if (mute) throw new LarderError("BROKER_FAILED", "no answer");
		const { network } = operator;
		const member = { box: id, serial: "1", region, role: "box" } as const;
		const dates = { notBefore: at, notAfter: at + 30 * DAY };
		const said = {
			...{ network, box: id, nonce: "0".repeat(32), at },
			...(refusal !== undefined && { refusal }),
			...(kind === "renew" &&
				refusal === undefined && {
					papers: {
						region,
						certificate: certifyMember(operator, member, dates),
						chain: "a newer chain",
						secret: "",
					},
				}),
		};
		const sealed = seal(operator.signers.issuer, said);
		const envelope = parseEnvelope(JSON.parse(sealed.toString()));
		if (!envelope.ok) throw new Error(envelope.detail);
		return { said, envelope: envelope.value, tookUpTo: 1 };
	};
	const renewed: number[] = [];
	const lease = new Lease({
		...{ identity, clock, log: silent },
		control: { ask: answer, connected: true, trouble: undefined, nudge() {} },
		onRenewed: () => renewed.push(identity.certificate.notAfter),
		round: 1e9,
	});
	t.teardown(() => lease.close());
	/** Looks, and lets what follows come to its end. */
	const look = async () => {
		lease.look();
		for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
	};
	/** There is another key for the issuer, and those before it count no more. Gives its serial. */
	const retire = async () => {
		const root = join(dir, "operator", "keys", "root.json");
		const { granted } = await rotateKey(operator, "issuer", root);
		await operator.keyring.reread();
		identity.trust.minimum.set("issuer", granted.serial);
		return granted.serial;
	};
	return {
		...{ operator, path, ticks, clock, identity, asked, answers },
		...{ renewed, look, retire },
	};
}

t.test("the time is asked for, the lease renewed at two thirds", async (t) => {
	const { path, ticks, clock, identity, asked, answers, renewed, look } =
		await scene(t);
	answers.push({ at: ISSUED });
	await look();
	t.same(asked, ["time"]);
	t.ok(clock.isKnown);
	await look();
	t.same(asked, ["time"], "what is known is not asked for");
	ticks.now += 19 * DAY;
	answers.push({ at: ISSUED + 19 * DAY });
	await look();
	t.same(asked, ["time", "time"], "not due yet; the time was said long ago");
	ticks.now += 5 * DAY;
	answers.push({ at: ISSUED + 24 * DAY });
	await look();
	t.same(asked, ["time", "time", "renew"]);
	await t.resolves(
		(async () => {
			while (renewed.length === 0) await new Promise(setImmediate);
		})(),
	);
	t.equal(identity.certificate.notAfter, ISSUED + 54 * DAY);
	t.equal(identity.shown?.cert, "a newer chain");
	const file = JSON.parse(await readFile(path, "utf8"));
	t.equal(file.chain, "a newer chain", "on the disk, too");
	t.equal(
		(await readIdentity(path, clock)).certificate.notAfter,
		ISSUED + 54 * DAY,
	);
	await look();
	t.equal(asked.length, 3);
});

t.test("a disk that takes no writes keeps no box from its lease", async (t) => {
	const { path, ticks, identity, asked, answers, renewed, look } =
		await scene(t);
	await mkdir(`${path}.part`);
	ticks.now += 24 * DAY;
	answers.push({ at: ISSUED + 24 * DAY }, { at: ISSUED + 24 * DAY });
	await look();
	while (renewed.length === 0 && asked.length < 3) await look();
	t.same(renewed, [ISSUED + 54 * DAY]);
	t.equal(identity.certificate.notAfter, ISSUED + 54 * DAY);
});

t.test("boxes that were made together do not renew together", async (t) => {
	const { random } = Math;
	t.teardown(() => {
		Math.random = random;
	});
	/** Whether a box that draws this has asked for a lease, so long after it was given one. */
	const hasAsked = async (drawn: number, days: number) => {
		Math.random = () => drawn;
		const { ticks, asked, look } = await scene(t);
		ticks.now += days * DAY;
		await look();
		return asked.includes("renew");
	};
	// Of 31 days, one of which was over before.
	t.notOk(await hasAsked(0, 19.6));
	t.ok(await hasAsked(0, 19.7), "two thirds");
	t.notOk(await hasAsked(0.5, 20.9));
	t.ok(await hasAsked(0.5, 21));
	t.notOk(await hasAsked(0.999, 22.2));
	t.ok(await hasAsked(0.999, 22.3), "three quarters");
});

t.test("a box that was off learns that its lease is due", async (t) => {
	const { asked, answers, renewed, look } = await scene(t);
	answers.push({ at: ISSUED + 60 * DAY }, { at: ISSUED + 60 * DAY });
	await look();
	while (renewed.length === 0) await new Promise(setImmediate);
	t.same(asked, ["time", "renew"]);
});

t.test(
	"who is refused or not answered does not ask again at once",
	async (t) => {
		for (const answer of [
			{ at: ISSUED + 40 * DAY, refusal: "revoked" },
			{ at: 0, silent: true as const },
		]) {
			const { ticks, asked, answers, renewed, look } = await scene(t);
			ticks.now += 40 * DAY;
			answers.push(answer);
			await look();
			const before = asked.length;
			await look();
			t.equal(asked.length, before);
			t.same(renewed, []);
		}
	},
);

t.test("papers of another box change nothing", async (t) => {
	const one = await scene(t);
	const other = await scene(t);
	const { certificate } = other.identity;
	const papers = {
		region: certificate.region,
		certificate: other.identity.envelope,
		chain: "another's",
		secret: "",
	};
	const before = await readFile(one.path);
	await t.rejects(one.identity.renew(papers), { code: "IDENTITY_INVALID" });
	t.same(await readFile(one.path), before);
	t.not(one.identity.shown?.cert, "another's");
	await writeFile(one.path, before);
});

t.test("a lease of an issuer that was retired is due at once", async (t) => {
	const { operator, identity, asked, renewed, look, retire } = await scene(t);
	await look();
	t.same(asked, ["time"]);
	const serial = await retire();
	await look();
	while (renewed.length === 0) await new Promise(setImmediate);
	t.same(asked, ["time", "renew"]);
	t.ok(stillCounts(identity.envelope, identity.trust));
	t.equal(operator.signers.issuer.granted.serial, serial);
	await look();
	t.equal(asked.length, 2);
});

t.test("what does not help is not asked for at once again", async (t) => {
	const { identity, asked, answers, renewed, look } = await scene(t);
	// The headend has not heard of it yet.
	identity.trust.minimum.set("issuer", Number.MAX_SAFE_INTEGER);
	answers.push({ at: ISSUED }, { at: ISSUED });
	await look();
	await look();
	t.same(asked, ["renew"]);
	t.same(renewed, []);
});

t.test(
	"a headend whose clock went a year ahead, and back, leaves nobody out",
	async (t) => {
		const { ticks, clock, identity, asked, answers, renewed, look } =
			await scene(t);
		const ahead = ISSUED + 365 * DAY;
		answers.push({ at: ahead }, { at: ahead });
		await look();
		while (renewed.length < 1) await new Promise(setImmediate);
		t.equal(identity.certificate.notBefore, ahead);
		ticks.now += 7 * HOUR;
		const now = ISSUED + 7 * HOUR;
		answers.push({ at: now }, { at: now });
		await look();
		while (renewed.length < 2) await new Promise(setImmediate);
		t.same(asked, ["time", "renew", "time", "renew"]);
		t.equal(clock.now(), now);
		t.equal(identity.certificate.notBefore, now, "good from now on");
		await look();
		t.equal(asked.length, 4);
	},
);
