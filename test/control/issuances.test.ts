// What a box believes of the issuer, and what it believes first.
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Heads } from "../../src/control/heads.ts";
import { Issuances, readIssuance } from "../../src/control/issuances.ts";
import type { Issuance } from "../../src/wire/enrol.ts";
import {
	type Envelope,
	envelope,
	parseEnvelope,
	type Signer,
	seal,
	trustIn,
} from "../../src/wire/envelope.ts";
import { parseMessage } from "../../src/wire/json.ts";
import { signMandate } from "../../src/wire/mandate.ts";
import { newBox, Operator, REGION } from "./operator.ts";

const NOW = Date.UTC(2026, 0, 10);

function scene() {
	const operator = new Operator();
	const trust = trustIn(operator.root.publicKey, () => NOW);
	const identity = { box: newBox(), region: REGION, trust };
	const signer = (serial: number) =>
		operator.signer("issuer", NOW + 1000 * DAY, serial);
	const say = (by: Signer, more: Partial<Issuance> = {}): Envelope => {
		const { box } = identity;
		const { network } = trust;
		const said = { network, box, nonce: "0".repeat(32), at: NOW, ...more };
		const read = parseMessage(envelope, seal(by, said));
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	/** What the root says of issuers. */
	const retire = (issuer: number, version = issuer) =>
		signMandate(operator.root, {
			...{ version, minimum: { issuer, revoke: issuer }, purged: [] },
		});
	const reason = (by: Signer, more?: Partial<Issuance>) => {
		const read = readIssuance(say(by, more), identity);
		return read.ok ? undefined : read.reason;
	};
	return { operator, trust, identity, signer, say, retire, reason };
}

t.test("what the root says counts before the rest is believed", async (t) => {
	const { trust, signer, retire, reason } = scene();
	const [stolen, next] = [signer(1), signer(2)];
	t.equal(reason(stolen, { at: NOW + 900 * DAY }), undefined);
	t.equal(
		reason(stolen, { mandate: retire(2) }),
		"retired-key",
		"even where the thief brings it",
	);
	t.equal(trust.minimum.get("issuer"), 2);
	t.equal(trust.minimum.get("revoke"), undefined, "the head's to bring");
	t.equal(reason(stolen), "retired-key");
	t.equal(reason(next), undefined);
});

t.test("an old word of the root's brings no key back", async (t) => {
	const { trust, identity, signer, retire, reason } = scene();
	const next = signer(3);
	t.equal(reason(next, { mandate: retire(3) }), undefined);
	t.equal(reason(next, { mandate: retire(2) }), undefined);
	t.equal(trust.minimum.get("issuer"), 3);
	const path = join(t.testdir(), "head.json");
	const heads = new Heads(path, identity, () => 0, silent);
	t.same(heads.take({ mandate: retire(2) }).refused, []);
	t.equal(trust.minimum.get("issuer"), 3, "nor does a head that is behind");
	await heads.close();
});

t.test("nobody speaks for another root", async (t) => {
	const { trust, signer, reason } = scene();
	const { retire } = scene();
	t.equal(reason(signer(1), { mandate: retire(9) }), "bad-signature");
	t.equal(trust.minimum.get("issuer"), undefined);
});

t.test("an answer to another question is none", async (t) => {
	const { identity, signer, say } = scene();
	const issuances = new Issuances(identity);
	let nonce = "";
	const asked = issuances.ask((drawn) => {
		nonce = drawn;
	});
	const by = signer(1);
	t.match(issuances.take(say(by)), { ok: true, value: false });
	t.match(issuances.take(say(by, { nonce })), { ok: true, value: true });
	t.equal((await asked).said.nonce, nonce);
	t.match(
		issuances.take(say(by, { nonce })),
		{ ok: true, value: false },
		"nor is a second one to the same",
	);
});

t.test("an answer fits its own question", async (t) => {
	const operator = new Operator();
	const box = newBox();
	const { trust } = operator;
	const identity = { box, region: REGION, trust };
	const issuances = new Issuances(identity);
	t.teardown(() => issuances.close());
	const issuer = operator.signer("issuer");
	const word = (nonce: string, at: number, over: object = {}) => {
		const { network } = trust;
		const said = { network, box, nonce, at, ...over };
		const read = parseEnvelope(JSON.parse(`${seal(issuer, said)}`));
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	};
	const nonces: string[] = [];
	const ask = () => issuances.ask((nonce) => nonces.push(nonce));
	const [one, two] = [ask(), ask()];
	const [first = "", second = ""] = nonces;
	t.not(first, second);
	t.same(issuances.take(word("0".repeat(32), 1)), { ok: true, value: false });
	t.match(issuances.take(word(second, 2, { box: newBox() })), {
		reason: "wrong-box",
	});
	t.same(issuances.take(word(second, 2)), { ok: true, value: true });
	t.same(issuances.take(word(second, 3)), { ok: true, value: false }, "again");
	t.same(issuances.take(word(first, 1)), { ok: true, value: true });
	t.match(await one, { said: { nonce: first, at: 1 } });
	t.match(await two, { said: { nonce: second, at: 2 } });
});
