import sodium from "sodium-native";
import { type KeyPair, secretKey } from "./keys.ts";

/** Seals a few bytes so that only the holder of an Ed25519 key can open them (libsodium sealed box over X25519). */
export function sealTo(publicKey: Uint8Array, message: Uint8Array): Buffer {
	const sealed = Buffer.alloc(message.byteLength + sodium.crypto_box_SEALBYTES);
	sodium.crypto_box_seal(sealed, message, exchangeKey(publicKey));
	return sealed;
}

/** Undefined when it was sealed to another key or changed on its way. */
export function openSealed(
	pair: KeyPair,
	sealed: Uint8Array,
): Buffer | undefined {
	const length = sealed.byteLength - sodium.crypto_box_SEALBYTES;
	if (length < 0) return undefined;
	const secret = Buffer.alloc(sodium.crypto_box_SECRETKEYBYTES);
	const signing = secretKey(pair);
	sodium.crypto_sign_ed25519_sk_to_curve25519(secret, signing);
	const message = Buffer.alloc(length);
	const publicKey = exchangeKey(pair.publicKey);
	const opens = sodium.crypto_box_seal_open(message, sealed, publicKey, secret);
	secret.fill(0);
	signing.fill(0);
	return opens ? message : undefined;
}

function exchangeKey(publicKey: Uint8Array): Buffer {
	const key = Buffer.alloc(sodium.crypto_box_PUBLICKEYBYTES);
	sodium.crypto_sign_ed25519_pk_to_curve25519(key, publicKey);
	return key;
}
