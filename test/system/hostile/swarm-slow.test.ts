import { connect } from "node:net";
import c from "compact-encoding";
import type HyperDHT from "hyperdht";
import t, { type Test } from "tap";
import { SECOND } from "../../../src/base/time.ts";
import { MiB } from "../../../src/base/units.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import {
	type Door,
	type Ground,
	knock,
	openDht,
	type Stranger,
} from "../../swarm/stranger.ts";
import {
	counters,
	filled,
	openDesk,
	poll,
	publishFilm,
	stopOrigin,
} from "../desk.ts";
import { beside } from "./flood.ts";
import { doorOf, groundOf, memoryOf, refusalsOf } from "./swarm-ground.ts";

const SIZE = 2 * MiB;
/** Held open at a time on each transport: whoever is cut off comes again. */
const SLOW = 200;
/** Where they come from. A box has 32 places for an address that was not let in, and 128 in all: these take every one. */
const ADDRESSES = {
	TCP: ["127.0.0.1", "127.0.0.2"],
	UDX: ["127.0.0.3", "127.0.0.4"],
} as const;
type Transport = keyof typeof ADDRESSES;
/** How many are held on each transport at any moment but a few: half of its 64 places, of which some are just changing hands. */
const HELD = 32;

t.setTimeout(240_000);

/** What is on its way when the other side ends it. */
interface Slow {
	readonly closed: Promise<void>;
	end(): void;
}

/** What a connection does that holds a place and says nothing. */
type Way = (to: Place) => Promise<Slow>;
interface Place {
	readonly ground: Ground;
	readonly door: Door;
	readonly address: string;
	readonly dht: HyperDHT;
}

/** A byte a second, none of it a frame that ends. */
function drip(write: (byte: Buffer) => void): NodeJS.Timeout {
	return setInterval(() => write(Buffer.from([1])), SECOND);
}

function raw({ door, address }: Place, isDripping: boolean): Slow {
	const port = door.swarm.tcpPort ?? 0;
	const socket = connect({ port, host: "127.0.0.1", localAddress: address });
	const timer = isDripping ? drip((byte) => socket.write(byte)) : undefined;
	socket.on("error", () => undefined);
	socket.resume();
	const closed = new Promise<void>((resolve) => {
		socket.once("close", () => {
			clearInterval(timer);
			resolve();
		});
	});
	return { closed, end: () => socket.destroy() };
}

async function shaken(
	{ ground, door, address, dht }: Place,
	transport: "udx" | "tcp",
): Promise<Stranger> {
	return knock(ground, door, generateKeyPair(), transport, address, dht);
}

/** Its hello comes in frames of one byte each: the first is none. */
function mumbles({ mux, closed, end }: Stranger): Slow {
	const channel = mux.createChannel({ protocol: "larder/membership/1" });
	const greeting = channel?.addMessage({ encoding: c.raw });
	channel?.open();
	greeting?.send(Buffer.from("{"));
	return { closed, end: () => void end() };
}

function drips({ stream, closed, end }: Stranger): Slow {
	const timer = drip((byte) => stream.rawStream.write(byte));
	return {
		closed: closed.then(() => clearInterval(timer)),
		end: () => void end(),
	};
}

const WAYS: Record<string, Way> = {
	"TCP, open and silent": async (to) => raw(to, false),
	"TCP, a byte a second": async (to) => raw(to, true),
	"TCP, hands shaken": (to) => shaken(to, "tcp"),
	"TCP, a hello in bytes": async (to) => mumbles(await shaken(to, "tcp")),
	"UDX, hands shaken": (to) => shaken(to, "udx"),
	"UDX, a byte a second": async (to) => drips(await shaken(to, "udx")),
	"UDX, a hello in bytes": async (to) => mumbles(await shaken(to, "udx")),
};

/** Keeps as many connections of each way as make SLOW on each transport. */
function besiege(t: Test, ground: Ground, door: Door) {
	const open = { TCP: new Set<Slow>(), UDX: new Set<Slow>() };
	let isOver = false;
	let opened = 0;
	const dhts: HyperDHT[] = [];
	const keep = async (way: Way, held: Set<Slow>, from: Place) => {
		while (!isOver) {
			try {
				const slow = await way(from);
				opened++;
				held.add(slow);
				if (isOver) slow.end();
				await slow.closed;
				held.delete(slow);
			} catch {
				// Turned away: it comes again.
			}
			await new Promise((resolve) => setTimeout(resolve, SECOND / 4));
		}
	};
	for (const transport of ["TCP", "UDX"] as const) {
		const ways = Object.entries(WAYS).filter(([name]) =>
			name.startsWith(transport),
		);
		const places = ADDRESSES[transport].map((address) => {
			const dht = openDht(ground, address);
			dhts.push(dht);
			return { ground, door, address, dht };
		});
		for (let n = 0; n < SLOW; n++) {
			const [, way] = ways[n % ways.length]!;
			const at = ((n / ways.length) % places.length) | 0;
			void keep(way, open[transport], places[at]!);
		}
	}
	t.teardown(async () => {
		isOver = true;
		for (const slow of [...open.TCP, ...open.UDX]) slow.end();
		await Promise.all(dhts.map((dht) => dht.destroy({ force: true })));
	});
	return {
		/** How many are held at this moment. */
		open: (transport: Transport) => open[transport].size,
		opened: () => opened,
	};
}

/** Starts a box; resolves when this one is its neighbour. */
async function join(desk: Neighbourhood, other: DeskBox): Promise<DeskBox> {
	const box = await desk.addBox();
	await poll("they are neighbours", async () => {
		const { neighbours } = (await desk.statusOf(box)).swarm;
		return neighbours.some(({ box }) => box === other.id);
	});
	return box;
}

t.test("mute and slow connections keep no neighbour out", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const box = await desk.addBox();
	await filled(desk, film.shards);
	await stopOrigin(desk);
	const ground = groundOf(desk);
	const before = await memoryOf(box);
	const siege = besiege(t, ground, await doorOf(ground, box));
	await poll("they are all there", async () => siege.opened() >= 2 * SLOW);
	const joined = Date.now();
	const looks: Record<Transport, number>[] = [];
	const joining = join(desk, box);
	await beside(joining, async () => {
		looks.push({ TCP: siege.open("TCP"), UDX: siege.open("UDX") });
		await refusalsOf(desk, box);
	});
	for (const transport of ["TCP", "UDX"] as const) {
		const held = looks.map((look) => look[transport]);
		const usual = held.toSorted((a, b) => a - b)[held.length >> 1] ?? 0;
		t.ok(usual >= HELD, `${usual} held over ${transport} while it came in`);
	}
	const honest = await joining;
	await filled(desk, film.shards * 2);
	t.comment(`filled ${Date.now() - joined} ms after it was started`);
	const { fromNeighbours } = await counters(desk, honest);
	t.ok(fromNeighbours >= SIZE, `${fromNeighbours} bytes came from the box`);
	await poll("they are sent away, and come again", async () => {
		const refused = await refusalsOf(desk, box);
		const silent = refused.get("silent") ?? 0;
		const crowded = refused.get("crowded") ?? 0;
		const handshake = refused.get("handshake") ?? 0;
		return silent + crowded + handshake > 4 * SLOW;
	});
	t.comment(Object.fromEntries(await refusalsOf(desk, box)));
	const grown = (await memoryOf(box)) - before;
	t.ok(grown < 80 * MiB, `${grown} bytes of memory more`);
});
