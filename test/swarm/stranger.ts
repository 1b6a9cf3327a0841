// Somebody who reaches a box's door over either transport and then does as it likes.
import { once } from "node:events";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import c, { type Encoding } from "compact-encoding";
import HyperDHT from "hyperdht";
import Protomux, { type Message } from "protomux";
import { admit, type Membership } from "../../src/swarm/membership.ts";
import { dialTcp } from "../../src/swarm/tcp.ts";
import { type Envelope, trustIn } from "../../src/wire/envelope.ts";
import {
	cancel,
	chunk,
	EXCHANGE,
	type ExchangeChunk,
	type ExchangeRefusal,
	type ExchangeRequest,
	refuse,
	request,
	title,
} from "../../src/wire/exchange.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import {
	delta,
	type Holding,
	type HoldingDelta,
	holding,
	INVENTORY,
} from "../../src/wire/inventory.ts";
import {
	generateKeyPair,
	type KeyPair,
	secretKey,
} from "../../src/wire/keys.ts";
import type { Certificate } from "../../src/wire/membership.ts";
import type { TestOperator } from "../fixture.ts";

/** What strangers know of a region, and what its operator signs for the test. */
export interface Ground {
	/** Of a DHT node, `host:port`. */
	readonly address: string;
	readonly operator: Pick<TestOperator, "region" | "certify" | "signer"> & {
		readonly root: Pick<KeyPair, "publicKey">;
	};
}

/** A box that can be come to. */
export interface Door {
	readonly id: BoxId;
	readonly swarm: { readonly tcpPort: number | undefined };
}

export interface Stranger {
	readonly stream: NoiseStream;
	readonly mux: Protomux;
	/** Settles when the connection is closed, whoever closed it. */
	readonly closed: Promise<void>;
	end(): Promise<void>;
}

/** Where strangers come from over UDX. */
export function openDht(region: Ground, host = "127.0.0.1"): HyperDHT {
	return new HyperDHT({
		bootstrap: [region.address],
		firewalled: false,
		host,
		port: 0,
		anyPort: true,
	});
}

/**
 * Connects to a box as far as anybody can: keys are agreed on, nobody is admitted. Rejects when the box hangs up at once.
 * @param host the loopback address that UDX comes from
 */
export async function knock(
	region: Ground,
	box: Door,
	key: KeyPair,
	transport: "udx" | "tcp",
	host = "127.0.0.1",
	given?: HyperDHT,
): Promise<Stranger> {
	const dht = given ?? openDht(region, host);
	const boxKey = Buffer.from(box.id, "hex");
	const keyPair = { publicKey: key.publicKey, secretKey: secretKey(key) };
	const stream: NoiseStream =
		transport === "udx"
			? dht.connect(boxKey, { keyPair })
			: await dialTcp("127.0.0.1", box.swarm.tcpPort!, key, boxKey);
	stream.on("error", () => undefined);
	const closed = new Promise<void>((resolve) => {
		stream.on("close", () => resolve());
	});
	if (transport === "udx") {
		const opened = once(stream, "open");
		await opened.catch(() => dht.destroy({ force: true }));
		await opened;
	}
	return {
		stream,
		// Not before it is used: what comes for channels that are not there yet is refused.
		get mux() {
			return Protomux.from(stream);
		},
		closed,
		async end() {
			stream.destroy();
			if (given === undefined) await dht.destroy({ force: true });
		},
	};
}

/** Membership as an honest box of the region would show it, but with this certificate. */
export function membershipOf(
	{ operator }: Ground,
	certificate: Envelope,
): Membership {
	return {
		region: operator.region,
		trust: trustIn(operator.root.publicKey, Date.now),
		certificate: () => certificate,
		tcp: () => undefined,
		isRevoked: () => false,
		currentHead: () => undefined,
		near: () => [],
		offerHead: () => undefined,
	};
}

/** Asks for a block of a title without waiting to be let in; counts what comes. */
export function grab({ mux }: Stranger, id: TitleId): { chunks: number } {
	const got = { chunks: 0 };
	const channel = mux.createChannel({ protocol: EXCHANGE })!;
	const requests = channel.addMessage({ encoding: request });
	channel.addMessage({ encoding: chunk, onmessage: () => got.chunks++ });
	channel.open();
	requests.send({
		...{ id: 1, wanted: "blocks", title: id, urgent: true },
		...{ shard: 0, first: 0, count: 1 },
	});
	return got;
}

/** A member that keeps to no rule. Bytes go as they are. */
export interface Rogue extends Stranger {
	readonly id: BoxId;
	readonly wants: Message<TitleId>;
	readonly unwants: Message<TitleId>;
	readonly answers: Message<Holding>;
	readonly deltas: Message<HoldingDelta>;
	readonly requests: Message<ExchangeRequest | Uint8Array>;
	readonly chunks: Message<ExchangeChunk>;
	readonly refusals: Message<ExchangeRefusal | Uint8Array>;
	readonly cancels: Message<number | Uint8Array>;
	/** What the box said, oldest first. */
	readonly heard: {
		readonly wanted: TitleId[];
		/** How many answers it gave to what it was asked about. */
		told: number;
		readonly requests: ExchangeRequest[];
		readonly refusals: ExchangeRefusal[];
		readonly chunks: ExchangeChunk[];
	};
	/** Called with each request of the box. */
	onRequest: (request: ExchangeRequest) => void;
}

/** A member of the region, admitted over UDX, that does as it likes. Rejects when it is not let in. */
export async function sneakIn(
	region: Ground,
	box: Door,
	host?: string,
	dht?: HyperDHT,
	changes?: Partial<Certificate>,
): Promise<Rogue> {
	const key = generateKeyPair();
	const stranger = await knock(region, box, key, "udx", host, dht);
	const me = membershipOf(region, region.operator.certify(key, changes));
	return await new Promise((resolve, reject) => {
		admit(stranger.mux, "udx", me, {
			onProven: () => undefined,
			onMember: () => resolve(rogue(stranger, key)),
			onRefused: (slug) =>
				void stranger.end().then(() => reject(new Error(slug))),
		});
	});
}

/** Encodes what fits, and takes bytes as they are. */
function loose<T>(encoding: Encoding<T>): Encoding<T | Uint8Array> {
	return {
		preencode(state, value) {
			if (value instanceof Uint8Array) c.raw.preencode(state, value);
			else encoding.preencode(state, value);
		},
		encode(state, value) {
			if (value instanceof Uint8Array) c.raw.encode(state, value);
			else encoding.encode(state, value);
		},
		decode: encoding.decode,
	};
}

function rogue(stranger: Stranger, key: KeyPair): Rogue {
	const wanted: TitleId[] = [];
	const requests: ExchangeRequest[] = [];
	const refusals: ExchangeRefusal[] = [];
	const chunks: ExchangeChunk[] = [];
	const heard = { wanted, requests, refusals, chunks, told: 0 };
	const inventory = stranger.mux.createChannel({ protocol: INVENTORY })!;
	const wants = inventory.addMessage({
		encoding: title,
		onmessage: (id) => wanted.push(id),
	});
	const unwants = inventory.addMessage({ encoding: title });
	const answers = inventory.addMessage({
		encoding: holding,
		onmessage: () => heard.told++,
	});
	const deltas = inventory.addMessage({ encoding: delta });
	inventory.open();
	const exchange = stranger.mux.createChannel({ protocol: EXCHANGE })!;
	const asks = exchange.addMessage({
		encoding: loose(request),
		onmessage(message) {
			const asked = message as ExchangeRequest;
			requests.push(asked);
			made.onRequest(asked);
		},
	});
	const gives = exchange.addMessage({
		encoding: chunk,
		onmessage: (part) => chunks.push(part),
	});
	const refuses = exchange.addMessage({
		encoding: loose(refuse),
		onmessage: (refusal) => refusals.push(refusal as ExchangeRefusal),
	});
	const cancels = exchange.addMessage({ encoding: loose(cancel) });
	exchange.open();
	const made: Rogue = {
		stream: stranger.stream,
		mux: stranger.mux,
		closed: stranger.closed,
		end: () => stranger.end(),
		id: key.publicKey.toString("hex") as BoxId,
		...{
			wants,
			unwants,
			answers,
			deltas,
			requests: asks,
			chunks: gives,
			refusals: refuses,
			cancels,
		},
		heard,
		onRequest: () => undefined,
	};
	return made;
}
