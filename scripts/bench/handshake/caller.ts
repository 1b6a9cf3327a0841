import { join } from "node:path";
import { Pacer } from "../../../src/act/pacer.ts";
import { readIdentity } from "../../../src/agent/identity.ts";
import type { Log } from "../../../src/base/log.ts";
import { SECOND } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { SharedHoldings } from "../../../src/store/holdings.ts";
import { SharedShelf } from "../../../src/store/shelf.ts";
import { ShardStore } from "../../../src/store/store.ts";
import { Admission } from "../../../src/swarm/admission.ts";
import { openDht, type PrivateDht } from "../../../src/swarm/dht.ts";
import type { GuardedStream, Transport } from "../../../src/swarm/guard.ts";
import type { Member } from "../../../src/swarm/membership.ts";
import { Roster } from "../../../src/swarm/roster.ts";
import { dialTcp } from "../../../src/swarm/tcp.ts";
import { timeOf } from "../../../src/wire/envelope.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { type KeyPair, secretKey } from "../../../src/wire/keys.ts";
import type { Figures } from "../measure/figures.ts";

const HOST = "127.0.0.1";
const LIMIT: Millis = 5 * SECOND;

/** Of one connection, in milliseconds: until Noise is through, and from there until both sides have let each other in. */
export const SPANS = ["noise", "membership"] as const;
export type Spans = Figures<(typeof SPANS)[number]>;

/** A connection on which both are members. */
interface Call {
	readonly spans: Spans;
	readonly stream: GuardedStream;
	readonly member: Member;
}

/** A box that connects to a neighbour as the swarm does, and looks at the clock on the way. */
export class Caller {
	private readonly dht: PrivateDht;
	private readonly keyPair: KeyPair;
	private readonly admission: Admission;
	/** A member that opens none of the other channels is hung up on. */
	private readonly roster: Roster;

	private constructor(
		dht: PrivateDht,
		keyPair: KeyPair,
		admission: Admission,
		roster: Roster,
	) {
		this.dht = dht;
		this.keyPair = keyPair;
		this.admission = admission;
		this.roster = roster;
	}

	/** @param box a folder that `larder issue` made */
	static async open(box: string, bootstrap: string, log: Log): Promise<Caller> {
		const identity = await readIdentity(
			join(box, "identity.json"),
			timeOf(Date.now),
		);
		const { keyPair, region, trust, envelope } = identity;
		const knownFile = join(box, "known-nodes.json");
		const dht = await openDht(
			{
				...{ bootstrap: [bootstrap], host: HOST, port: 0, knownFile },
				reach: "direct",
			},
			keyPair,
			log,
		);
		const membership = {
			...{ region, trust, certificate: () => envelope, tcp: () => undefined },
			isRevoked: () => false,
			currentHead: () => undefined,
			near: () => [],
			offerHead: () => undefined,
		};
		const admission = new Admission({ membership, limit: 4, log });
		const store = await ShardStore.open({
			...{ folder: join(box, "store"), capacity: 0, streamingShare: 0, log },
		});
		const roster = new Roster({
			mine: keyPair.publicKey.toString("hex") as BoxId,
			shelf: new SharedShelf(
				store,
				() => true,
				async () => undefined,
				() => undefined,
			),
			holdings: new SharedHoldings(store, () => true),
			pacer: new Pacer(0),
			currentHead: membership.currentHead,
			onTraffic: () => undefined,
			onMember: () => undefined,
			onCame: () => undefined,
			onLeft: () => undefined,
			onOffence: (box, slug) => log.error({ box, slug }, "an offence"),
			log,
		});
		return new Caller(dht, keyPair, admission, roster);
	}

	/** By key, over the DHT. Rejects when it cannot be found, or does not let this box in. */
	udx(box: BoxId): Promise<Call> {
		const keyPair = {
			publicKey: this.keyPair.publicKey,
			secretKey: secretKey(this.keyPair),
		};
		return this.call("udx", async () => {
			const stream = this.dht.connect(Buffer.from(box, "hex"), { keyPair });
			await new Promise((resolve, reject) => {
				stream.once("open", resolve).once("error", reject);
			});
			return stream;
		});
	}

	/** Beside a connection over UDX, as a member is dialled. */
	tcp({ box, tcp }: Member): Promise<Call> {
		const key = Buffer.from(box, "hex");
		return this.call("tcp", () =>
			dialTcp(HOST, tcp?.port ?? 0, this.keyPair, key),
		);
	}

	async close(): Promise<void> {
		this.admission.close();
		await this.dht.destroy({ force: true });
	}

	private async call(
		transport: Transport,
		dial: () => Promise<GuardedStream>,
	): Promise<Call> {
		const dialled = performance.now();
		const stream = await dial();
		const opened = performance.now();
		const member = await new Promise<Member>((resolve, reject) => {
			stream.once("close", () => reject(new Error("it was not let in")));
			this.admission.enter(stream, transport, (member) => {
				resolve(member);
				this.roster.add(stream, transport, member);
			});
		});
		const admitted = performance.now();
		return {
			...{ stream, member },
			spans: { noise: opened - dialled, membership: admitted - opened },
		};
	}
}

/** Ends it, and waits until nothing of it is left on this side. */
export function hangUp({ stream }: Call): Promise<void> {
	const closed = new Promise<void>((resolve) => stream.once("close", resolve));
	stream.destroy();
	return closed;
}

/**
 * Calls until it is let in: once the other side is up, and has seen the call before end. Only the call that got through is
 * timed. Rejects when none does in time.
 */
export async function patiently(caller: Caller, box: BoxId): Promise<Call> {
	const until = performance.now() + LIMIT;
	for (;;) {
		try {
			return await caller.udx(box);
		} catch (cause) {
			if (performance.now() > until)
				throw new Error("the other side lets nobody in", { cause });
			await new Promise((resolve) => setTimeout(resolve, SECOND / 20));
		}
	}
}
