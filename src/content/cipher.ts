import { createCipheriv, randomBytes } from "node:crypto";
import type { Bytes } from "../base/units.ts";

export const KEY_SIZE = 32;
/** 96-bit nonce as in RFC 8439, after the 32-bit block counter that OpenSSL takes in front. */
export const NONCE_SIZE = 12;
/** ChaCha20 counts 64-byte blocks in 32 bits. */
export const MAX_TITLE_SIZE: Bytes = 2 ** 32 * 64;

const CIPHER_BLOCK = 64;

/** What a title is encrypted with. A fresh one for every publish attempt: a reused key stream would reveal both texts. */
export interface TitleCipher {
	readonly key: Buffer;
	readonly nonce: Buffer;
}

export function freshCipher(): TitleCipher {
	return { key: randomBytes(KEY_SIZE), nonce: randomBytes(NONCE_SIZE) };
}

/**
 * Encrypts or decrypts (the same with ChaCha20, RFC 8439) bytes that lie at `offset` of the title's byte space.
 * Any offset works; multiples of 64 cost nothing extra.
 */
export function applyCipher(
	cipher: TitleCipher,
	offset: Bytes,
	bytes: Uint8Array,
): Buffer {
	const stream = cipherAt(cipher, offset);
	return stream.update(bytes);
}

function cipherAt({ key, nonce }: TitleCipher, offset: Bytes) {
	const iv = Buffer.alloc(4 + NONCE_SIZE);
	iv.writeUInt32LE(Math.floor(offset / CIPHER_BLOCK), 0);
	nonce.copy(iv, 4);
	const stream = createCipheriv("chacha20", key, iv);
	const skip = offset % CIPHER_BLOCK;
	if (skip > 0) stream.update(Buffer.alloc(skip));
	return stream;
}
