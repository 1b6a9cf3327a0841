import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import t from "tap";
import { type Bytes, KiB, MiB } from "../../src/base/units.ts";
import {
	DEFAULT_BLOCK_SIZE,
	DEFAULT_SHARD_BLOCKS,
} from "../../src/content/geometry.ts";
import { request } from "../gateway/wire.ts";
import {
	addBoxes,
	filled,
	openDesk,
	poll,
	publishSource,
	writeFilm,
} from "./desk.ts";

t.setTimeout(180_000);

const PLAYERS = 500;
const FILM = 16 * MiB;
/** Players begin at as many places, this far apart. */
const APART = 8 * KiB;
/** Of those who stay: what each reads in the end, except a few who read all. */
const TASTE = MiB;
const TO_THE_END = 16;
/**
 * What one costs the agent that reads nothing: a block that waits to leave, its connection, and its part of what is not collected yet.
 * What has left lies with the kernel, which bounds that by itself (tcp_wmem, tcp_mem).
 */
const A_PLAYER: Bytes = 384 * KiB;

/** A player that takes what it is given when it is told to, and compares it with the film. */
class Player {
	readonly socket: Socket;
	readonly from: Bytes;
	readonly first: Promise<unknown>;
	taken: Bytes = 0;
	private readonly film: Buffer;
	private wrong = false;

	constructor(port: number, path: string, from: Bytes, film: Buffer) {
		this.from = from;
		this.film = film;
		this.socket = connect(port, "127.0.0.1");
		this.socket.write(request(port, "GET", path, { range: `bytes=${from}-` }));
		this.first = once(this.socket, "readable");
		this.socket.on("error", () => undefined);
	}

	/** Reads slowly, so many bytes of the film. False when they are others, or end before. */
	async read(most: Bytes): Promise<boolean> {
		let head = true;
		for await (const chunk of this.socket as AsyncIterable<Buffer>) {
			const body = head ? chunk.subarray(chunk.indexOf("\r\n\r\n") + 4) : chunk;
			head = false;
			const at = this.from + this.taken;
			const want = this.film.subarray(at, at + body.length);
			if (!want.equals(body)) this.wrong = true;
			this.taken += body.length;
			if (this.wrong || this.taken >= most) break;
			await new Promise(setImmediate);
		}
		this.socket.destroy();
		return !this.wrong && this.taken >= most;
	}
}

t.test(
	"five hundred players at once, slow ones and some that vanish",
	async (t) => {
		const desk = await openDesk(t, { copies: 1 });
		const source = join(desk.dir, "film.mp4");
		await writeFilm(source, FILM, "crowd");
		const film = await readFile(source);
		const { id, shards } = await publishSource(desk, source, {
			blockSize: DEFAULT_BLOCK_SIZE,
			shardBlocks: DEFAULT_SHARD_BLOCKS,
		});
		const [box] = await addBoxes(desk, 1);
		if (box === undefined) throw new Error("no box");
		await filled(desk, shards);
		const pid = box.process?.pid;
		const gateway = new URL(desk.gatewayOf(box));
		const files = async () => (await readdir(`/proc/${pid}/fd`)).length;
		const memory = async (): Promise<Bytes> => {
			const status = await readFile(`/proc/${pid}/status`, "utf8");
			return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]) * KiB;
		};
		const metric = async (name: string) => {
			const text = await (await fetch(new URL("/metrics", gateway))).text();
			return Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1]);
		};
		const [filesBefore, memoryBefore] = [await files(), await memory()];

		const path = `/titles/${id}/film.mp4`;
		const players = Array.from(
			{ length: PLAYERS },
			(_, i) => new Player(Number(gateway.port), path, i * APART, film),
		);
		await Promise.all(players.map(({ first }) => first));
		let sent = -1;
		await poll("all that goes out without being read has", async () => {
			const before = sent;
			sent = await metric("larder_gateway_sent_bytes_total");
			return sent === before;
		});
		t.equal(await metric("larder_gateway_active_requests"), PLAYERS + 1);
		const most = await memory();
		const each = (most - memoryBefore) / PLAYERS;
		t.ok(each < A_PLAYER, `${Math.round(each / KiB)} KiB for each player`);
		const opened = (await files()) - filesBefore;
		t.ok(opened < PLAYERS + 32, `${opened} more file descriptors`);

		const gone = players.filter((_, i) => i % 3 === 0);
		const stay = players.filter((_, i) => i % 3 !== 0);
		for (const { socket } of gone) socket.resetAndDestroy();
		const right = await Promise.all(
			stay.map((player, i) =>
				player.read(i < TO_THE_END ? film.length - player.from : TASTE),
			),
		);
		t.same(new Set(right), new Set([true]), "each got its bytes");
		await poll("what they asked for has ended", async () => {
			const active = await metric("larder_gateway_active_requests");
			return active === 1 && (await files()) <= filesBefore + 8;
		});
		t.equal(await metric("larder_gateway_turned_away_total"), 0);
	},
);
