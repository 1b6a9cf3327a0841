import * as z from "zod/mini";
import { LarderError } from "../../base/errors.ts";
import { above, DAY } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import {
	grantKey,
	grantOf,
	type KeyGrant,
	PURPOSES,
	type Purpose,
	type Signed,
	type Signer,
} from "../../wire/envelope.ts";
import { hex32, networkOf } from "../../wire/ids.ts";
import { parseMessage } from "../../wire/json.ts";
import {
	generateKeyPair,
	type KeyPair,
	keyPairFromSeed,
} from "../../wire/keys.ts";
import type { IssuerKey } from "../tls/authority.ts";
import { readSecret } from "./file.ts";

const GRANT_LIFE = 3653 * DAY;
/** Grants begin a little in the past: a box whose clock runs late must not refuse its first placement. */
const GRANT_LEAD = DAY;

const grant = z.object({
	payload: z.string().check(z.maxLength(4096)),
	signature: z.string().check(z.maxLength(4096)),
});
const keyFile = z.object({
	purpose: z.enum(PURPOSES),
	publicKey: hex32,
	seed: hex32,
	grant,
	/** Of the keys before this one, oldest first. Their seeds are gone. */
	earlier: z._default(z.array(grant), []),
});
const rootFile = z.object({ publicKey: hex32, seed: hex32 });

/** A key of the operator's, with all that the root has said of it and of those before it. */
export interface OperatorKey<P extends Purpose = Purpose> extends Signer {
	readonly purpose: P;
	readonly granted: KeyGrant;
	/** What the root said of those before it, oldest first. */
	readonly earlier: readonly Signed[];
}

/**
 * A new key for a purpose, granted by the root for ten years. Its serial follows the clock in seconds, so that it is above
 * all earlier ones even where a backup from before them was restored.
 */
export function makeKey<P extends Purpose>(
	root: KeyPair,
	purpose: P,
	at: Millis,
	before?: OperatorKey,
): OperatorKey<P> {
	const pair = generateKeyPair();
	const granted = {
		network: networkOf(root.publicKey),
		purpose,
		key: pair.publicKey.toString("hex"),
		serial: above(before?.granted.serial, at),
		notBefore: Math.max(0, at - GRANT_LEAD),
		notAfter: at + GRANT_LIFE,
	};
	const earlier = before === undefined ? [] : [...before.earlier, before.grant];
	return { purpose, pair, grant: grantKey(root, granted), granted, earlier };
}

/** A key as X.509 knows it. */
export function issuerOf({ pair, granted }: OperatorKey): IssuerKey {
	return { publicKey: pair.publicKey, serial: granted.serial };
}

/** Since when a key is there. */
export function since({ notBefore }: KeyGrant): Millis {
	return notBefore + GRANT_LEAD;
}

/** What a key's file holds: only for its owner. */
export function keyText({
	purpose,
	pair,
	grant,
	earlier,
}: OperatorKey): string {
	return text({
		purpose,
		...rootOf(pair),
		grant,
		earlier: [...earlier],
	} satisfies z.output<typeof keyFile>);
}

/** What the root's file holds: only for its owner, and best far away. */
export function rootText(root: KeyPair): string {
	return text(rootOf(root));
}

/** Reads a key's file. Throws OPERATOR_INVALID, which never says what is in it. */
export async function readKey<P extends Purpose>(
	path: string,
	purpose: P,
): Promise<OperatorKey<P>> {
	const file = await readAs(path, keyFile);
	const pair = pairOf(path, file);
	if (file.purpose !== purpose) throw damaged(path, `no key for ${purpose}`);
	const granted = grantOf(file.grant);
	if (!granted.ok) throw damaged(path, "its grant is none");
	const { grant, earlier } = file;
	return { purpose, pair, grant, granted: granted.value, earlier };
}

/** Reads the root's file, wherever it is kept. Throws OPERATOR_INVALID when it is missing or of another network. */
export async function readRoot(
	path: string,
	publicKey: Uint8Array,
): Promise<KeyPair> {
	const pair = pairOf(path, await readAs(path, rootFile));
	if (!pair.publicKey.equals(publicKey))
		throw damaged(path, "the root of another network");
	return pair;
}

async function readAs<T extends z.ZodMiniType>(
	path: string,
	schema: T,
): Promise<z.output<T>> {
	const bytes = await readSecret(path);
	if (bytes === undefined) throw damaged(path, "missing");
	const found = parseMessage(schema, bytes);
	if (!found.ok) throw damaged(path, found.detail);
	return found.value;
}

function pairOf(path: string, file: z.output<typeof rootFile>): KeyPair {
	const pair = keyPairFromSeed(Buffer.from(file.seed, "hex"));
	if (pair.publicKey.toString("hex") !== file.publicKey)
		throw damaged(path, "its two halves do not belong together");
	return pair;
}

function rootOf(pair: KeyPair): z.output<typeof rootFile> {
	return {
		publicKey: pair.publicKey.toString("hex"),
		seed: pair.seed.toString("hex"),
	};
}

function text(value: object): string {
	return `${JSON.stringify(value, undefined, "\t")}\n`;
}

function damaged(path: string, why: string): LarderError {
	return new LarderError("OPERATOR_INVALID", `${path}: ${why}`);
}
