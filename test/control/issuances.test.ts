import t from "tap";
import { Issuances } from "../../src/control/issuances.ts";
import { parseEnvelope, seal } from "../../src/wire/envelope.ts";
import { newBox, Operator, REGION } from "./operator.ts";

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
