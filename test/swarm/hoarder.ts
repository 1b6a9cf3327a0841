// Somebody with a certificate who leaves long frames unfinished, on as many connections as it gets.
import c from "compact-encoding";
import type HyperDHT from "hyperdht";
import type { Test } from "tap";
import { type Bytes, MiB } from "../../src/base/units.ts";
import type { Transport } from "../../src/swarm/guard.ts";
import { admit } from "../../src/swarm/membership.ts";
import { EXCHANGE } from "../../src/wire/exchange.ts";
import { INVENTORY } from "../../src/wire/inventory.ts";
import { encodeMessage } from "../../src/wire/json.ts";
import type { KeyPair } from "../../src/wire/keys.ts";
import {
	type Door,
	type Ground,
	knock,
	membershipOf,
	type Stranger,
} from "./stranger.ts";

/** As long as any frame may be. */
export const LONG: Bytes = 5 * MiB;

const AT_ONCE = 32;

/** Does something so often, a few at a time. */
export async function each(
	count: number,
	one: (n: number) => Promise<unknown>,
): Promise<void> {
	for (let at = 0; at < count; at += AT_ONCE) {
		const length = Math.min(AT_ONCE, count - at);
		await Promise.all(Array.from({ length }, (_, n) => one(at + n)));
	}
}

/** How far it goes before it begins a frame. */
export type Way = (
	stranger: Stranger,
	ground: Ground,
	key: KeyPair,
) => Promise<unknown>;

/** Its certificate is shown and looked at, and it says nothing to what the other side shows. */
export const shown: Way = async ({ mux }, { operator }, key) => {
	const channel = mux.createChannel({ protocol: "larder/membership/1" });
	const greeting = channel?.addMessage({ encoding: c.raw });
	channel?.open();
	const certificate = operator.certify(key);
	greeting?.send(encodeMessage({ v: 1, certificate }));
	// What nobody knows is refused, in its turn.
	await new Promise<void>((resolve) => {
		const probe = mux.createChannel({ protocol: "none", onclose: resolve });
		probe?.open();
	});
};

/** It is let in, or turned away. */
export function letIn(transport: Transport): Way {
	return ({ mux }, ground, key) => {
		const me = membershipOf(ground, ground.operator.certify(key));
		return new Promise<void>((resolve) =>
			admit(mux, transport, me, {
				onProven: () => undefined,
				onMember: () => {
					for (const protocol of [INVENTORY, EXCHANGE])
						mux.createChannel({ protocol })?.open();
					resolve();
				},
				onRefused: () => resolve(),
			}),
		);
	};
}

/** Comes, and goes so far; undefined when the porch is full. */
export async function come(
	t: Test,
	ground: Ground,
	door: Door,
	key: KeyPair,
	way: Way,
	...from: [Transport, host?: string, dht?: HyperDHT]
): Promise<Stranger | undefined> {
	const stranger = await knock(ground, door, key, ...from).catch(
		() => undefined,
	);
	if (stranger === undefined) return undefined;
	t.teardown(() => stranger.end());
	await way(stranger, ground, key);
	return stranger;
}

/** Begins a frame: by its first four bytes the box sets room for all of it aside. */
export function begin({ stream }: Stranger, length: Bytes, sent = 4): void {
	const start = Buffer.alloc(sent);
	start.writeUIntLE(length, 0, 3);
	stream.rawStream.write(start);
}
