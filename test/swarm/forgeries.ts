import { DAY } from "../../src/base/time.ts";
import type { Envelope } from "../../src/wire/envelope.ts";
import { networkOf, type Region } from "../../src/wire/ids.ts";
import { generateKeyPair, type KeyPair } from "../../src/wire/keys.ts";
import { makeOperator } from "../fixture.ts";
import type { Ground } from "./stranger.ts";

/** A box knows the time no better than the issuer told it. */
const MONTH = 30 * DAY;

/** What somebody shows who is to be refused, by the reason. */
export const FORGERIES: Record<
	string,
	(region: Ground, key: KeyPair) => Envelope
> = {
	expired: ({ operator }, key) =>
		operator.certify(key, { notAfter: Date.now() - MONTH }),
	"not-yet-valid": ({ operator }, key) =>
		operator.certify(key, { notBefore: Date.now() + MONTH }),
	"wrong-network": ({ operator }, key) =>
		operator.certify(key, {
			network: networkOf(makeOperator().root.publicKey),
		}),
	"wrong-region": ({ operator }, key) =>
		operator.certify(key, { region: "south-2" as Region }),
	"key-mismatch": ({ operator }) => operator.certify(generateKeyPair()),
	"wrong-purpose": ({ operator }, key) =>
		operator.certify(key, {}, operator.signer("catalog")),
	"bad-signature": (_, key) => makeOperator().certify(key),
	"bad-schema": ({ operator }, key) =>
		operator.certify(key, { role: "guest" as "box" }),
	revoked: ({ operator }, key) => operator.certify(key),
	role: ({ operator }, key) => operator.certify(key, { role: "headend" }),
};
