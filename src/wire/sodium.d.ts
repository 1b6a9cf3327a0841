declare module "sodium-native" {
	const sodium: {
		readonly crypto_box_SEALBYTES: number;
		readonly crypto_box_PUBLICKEYBYTES: number;
		readonly crypto_box_SECRETKEYBYTES: number;
		crypto_box_seal(
			sealed: Buffer,
			message: Uint8Array,
			publicKey: Buffer,
		): void;
		/** False when the box was not sealed to this key. */
		crypto_box_seal_open(
			message: Buffer,
			sealed: Uint8Array,
			publicKey: Buffer,
			secretKey: Buffer,
		): boolean;
		crypto_sign_ed25519_pk_to_curve25519(
			x25519: Buffer,
			ed25519: Uint8Array,
		): void;
		crypto_sign_ed25519_sk_to_curve25519(
			x25519: Buffer,
			ed25519: Uint8Array,
		): void;
	};
	export default sodium;
}
