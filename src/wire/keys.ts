import {
	createPrivateKey,
	createPublicKey,
	generateKeyPairSync,
	type KeyObject,
	sign,
	verify,
} from "node:crypto";

/** An Ed25519 key pair. `publicKey` and `seed` are 32 bytes each. */
export interface KeyPair {
	readonly publicKey: Buffer;
	readonly seed: Buffer;
}

// The fixed DER headers of an Ed25519 key (RFC 8410, section 7), in front of its 32 raw bytes.
const PRIVATE_HEADER = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_HEADER = Buffer.from("302a300506032b6570032100", "hex");

export function generateKeyPair(): KeyPair {
	const { privateKey } = generateKeyPairSync("ed25519");
	return keyPairFromSeed(
		privateKey
			.export({ format: "der", type: "pkcs8" })
			.subarray(PRIVATE_HEADER.length),
	);
}

/** @param seed 32 bytes */
export function keyPairFromSeed(seed: Uint8Array): KeyPair {
	const spki = createPublicKey(privateKey(seed)).export({
		format: "der",
		type: "spki",
	});
	return {
		publicKey: spki.subarray(PUBLIC_HEADER.length),
		seed: Buffer.from(seed),
	};
}

/** The 64-byte form (seed, then public key) that libsodium and Hypercore call the secret key. */
export function secretKey(pair: KeyPair): Buffer {
	return Buffer.concat([pair.seed, pair.publicKey]);
}

/** The key as TLS takes it: PKCS #8 in PEM. A secret. */
export function privateKeyPem(pair: KeyPair): string {
	return privateKey(pair.seed)
		.export({ format: "pem", type: "pkcs8" })
		.toString();
}

/** The DER that X.509 has for a public key of 32 bytes: SubjectPublicKeyInfo. */
export function publicKeyInfo(publicKey: Uint8Array): Buffer {
	return Buffer.concat([PUBLIC_HEADER, publicKey]);
}

/** A 64-byte Ed25519 signature over `domain`, a zero byte and `message`: nothing signed for one use passes for another. */
export function signBytes(
	domain: string,
	message: Uint8Array,
	pair: KeyPair,
): Buffer {
	return sign(null, inDomain(domain, message), privateKey(pair.seed));
}

export function verifyBytes(
	domain: string,
	message: Uint8Array,
	signature: Uint8Array,
	publicKey: Uint8Array,
): boolean {
	if (publicKey.byteLength !== 32 || signature.byteLength !== 64) return false;
	const key = createPublicKey({
		key: publicKeyInfo(publicKey),
		format: "der",
		type: "spki",
	});
	return verify(null, inDomain(domain, message), key, signature);
}

function privateKey(seed: Uint8Array): KeyObject {
	return createPrivateKey({
		key: Buffer.concat([PRIVATE_HEADER, seed]),
		format: "der",
		type: "pkcs8",
	});
}

function inDomain(domain: string, message: Uint8Array): Buffer {
	return Buffer.concat([Buffer.from(`${domain}\0`, "utf8"), message]);
}
