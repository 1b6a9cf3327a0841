import * as z from "zod/mini";
import { envelope } from "./envelope.ts";
import { head } from "./head.ts";
import { boxId, count, instant, networkId, region } from "./ids.ts";
import { tags } from "./near.ts";

export const ROLES = ["box", "headend"] as const;
export type Role = (typeof ROLES)[number];

/** Lets one key into one region (purpose `issuer`). `box` is the key that must also be the connection's Noise key. */
export const certificate = z.object({
	network: networkId,
	region,
	box: boxId,
	role: z.enum(ROLES),
	serial: z.string().check(z.minLength(1), z.maxLength(64)),
	/** When it was given: it is valid for a while before, for those whose clocks are behind. */
	issuedAt: z.optional(instant),
	notBefore: instant,
	notAfter: instant,
});
export type Certificate = z.output<typeof certificate>;

/** The first frame each way, at most 64 KiB, and again when something of it changes. */
export const hello = z.object({
	v: z.literal(1),
	certificate: envelope,
	/** Where this member takes bulk connections over TCP, if it does: at the address that its UDP comes from. */
	tcp: z.optional(z.object({ port: count.check(z.maximum(65_535)) })),
	/** How near it is, for those who can tell. An older box, or one in no group, shows none. */
	near: z.optional(tags),
});
export type Hello = z.output<typeof hello>;

/** Once the other side's certificate has passed, and again when it changes: the newest head, which may be long. */
export const news = z.object({ head });
export type News = z.output<typeof news>;
