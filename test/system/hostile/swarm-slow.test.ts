import { connect } from "node:net";
import c from "compact-encoding";
import type HyperDHT from "hyperdht";
import t, { type Test } from "tap";
import { SECOND } from "../../../src/base/time.ts";
import { MiB } from "../../../src/base/units.ts";
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
import { doorOf, groundOf, memoryOf, refusalsOf } from "./swarm-ground.ts";

const SIZE = 2 * MiB;
/** Held open at a time on each transport: whoever is cut off comes again. */
const SLOW = 200;
const ADDRESSES = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

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
	const open = new Set<Slow>();
	let isOver = false;
	let opened = 0;
	const dhts = ADDRESSES.map((address) => openDht(ground, address));
	const keep = async (way: Way, address: string, dht: HyperDHT) => {
		while (!isOver) {
			try {
				const slow = await way({ ground, door, address, dht });
				opened++;
				open.add(slow);
				if (isOver) slow.end();
				await slow.closed;
				open.delete(slow);
			} catch {
				// Turned away: it comes again.
			}
			await new Promise((resolve) => setTimeout(resolve, SECOND / 4));
		}
	};
	for (const transport of ["TCP", "UDX"]) {
		const ways = Object.entries(WAYS).filter(([name]) =>
			name.startsWith(transport),
		);
		for (let n = 0; n < SLOW; n++) {
			const [, way] = ways[n % ways.length]!;
			const at = ((n / ways.length) % ADDRESSES.length) | 0;
			void keep(way, ADDRESSES[at]!, dhts[at]!);
		}
	}
	t.teardown(async () => {
		isOver = true;
		for (const slow of open) slow.end();
		await Promise.all(dhts.map((dht) => dht.destroy({ force: true })));
	});
	return { open: () => open.size, opened: () => opened };
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
	const honest = await desk.addBox();
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
