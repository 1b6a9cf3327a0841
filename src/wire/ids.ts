import { createHash } from "node:crypto";
import * as z from "zod/mini";

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** A title's id: the hash of its manifest, 64 hex digits. */
export type TitleId = Branded<string, "TitleId">;
/** A box's id: its Ed25519 public key, 64 hex digits. It is also the box's Noise key and its name at the broker. */
export type BoxId = Branded<string, "BoxId">;
/** An operator's network: a hash of the root public key, 64 hex digits. */
export type NetworkId = Branded<string, "NetworkId">;
/** Region names are short words of the operator: `north-1`. */
export type Region = Branded<string, "Region">;

const HEX_32 = /^[0-9a-f]{64}$/;
const REGION = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** 32 bytes as 64 lower-case hex digits. */
export const hex32 = z.string().check(z.regex(HEX_32));
export const titleId = z.pipe(
	hex32,
	z.transform((text) => text as TitleId),
);
export const boxId = z.pipe(
	hex32,
	z.transform((text) => text as BoxId),
);
export const networkId = z.pipe(
	hex32,
	z.transform((text) => text as NetworkId),
);
export const region = z.pipe(
	z.string().check(z.regex(REGION)),
	z.transform((text) => text as Region),
);
/** Milliseconds since 1970. */
export const instant = z.number().check(z.int(), z.nonnegative());
/** A count or a size in bytes. */
export const count = z.number().check(z.int(), z.nonnegative());

export function isTitleId(text: string): text is TitleId {
	return HEX_32.test(text);
}

export function isBoxId(text: string): text is BoxId {
	return HEX_32.test(text);
}

export function isRegion(text: string): text is Region {
	return REGION.test(text);
}

/** The network that a root key stands for. */
export function networkOf(rootKey: Uint8Array): NetworkId {
	return createHash("sha256")
		.update("larder/network/1\0")
		.update(rootKey)
		.digest("hex") as NetworkId;
}

/** The first eight digits, for logs and tables. */
export function short(id: string): string {
	return id.slice(0, 8);
}
