// The box's own doors, on a real agent: `npm run fuzz` brings 20,000 wrong frames over IPC and 5,000 wrong requests to its gateway,
// `npm test` a tenth of them.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { MiB } from "../../../src/base/units.ts";
import { playAll } from "../../../src/desk/play.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import {
	IPC_METHODS,
	metrics,
	playerToken,
	status,
} from "../../../src/wire/ipc.ts";
import { Mutator, share } from "../../mutate.ts";
import { openDesk, PATIENCE, poll, publishFilm } from "../desk.ts";
import {
	beside,
	bring,
	flood,
	type Memory,
	memoryIn,
	seconds,
} from "./flood.ts";

const FRAMES = share(20_000);
const REQUESTS = share(5_000);
/** Fewer than the socket takes at a time, so that honest clients find room. */
const LANES = 8;
/** A kilobyte kept of each frame would be more. */
const SLACK = 12 * MiB;
/** All but the doctor's, who takes his time. */
const METHODS = IPC_METHODS.filter((method) => method !== "doctor");
/** In everything that is sent: it must not turn up in a log. */
const SECRET = "what-a-client-sent-7f3a";

const desk = await openDesk(t, { copies: 1 });
const film = await publishFilm(desk, 200_000);
const box = await desk.addBox({ playerToken: true, streamingShare: 1 });
const socket = join(box.dir, "agent.sock");
const ask = (method: Parameters<typeof callIpc>[1]) =>
	callIpc(socket, method, PATIENCE);
const { base, token } = playerToken.parse(await ask("player-token"));
const port = Number(new URL(base).port);
await poll("the film is listed", async () => {
	const list = await fetch(`${base}/titles`);
	return ((await list.json()) as { id: string }[]).some(
		({ id }) => id === film.id,
	);
});

async function look(): Promise<{ memory: Memory; text: string }> {
	const { text } = metrics.parse(await ask("metrics"));
	return { memory: memoryIn(text), text };
}

async function playFilm(): Promise<void> {
	const { mismatches, bytes } = await playAll(base, film.id, film.source);
	if (mismatches > 0 || bytes === 0)
		throw new Error(`${mismatches} of ${bytes} bytes are wrong`);
}

/** Sees the box's memory through a flood. */
class Watch {
	private readonly seen: number[] = [];
	peak = 0;

	async look(): Promise<number> {
		const { heap, outside, resident } = (await look()).memory;
		this.seen.push(heap + outside);
		this.peak = Math.max(this.peak, resident);
		return heap + outside;
	}

	/** Resolves when no more is held than early in the flood. Films are played meanwhile, for the box to collect its garbage. */
	async settled(): Promise<void> {
		const early = Math.min(
			...this.seen.slice(0, Math.ceil(this.seen.length / 4)),
		);
		await poll("memory is given back", async () => {
			for (let i = 0; i < 50; i++) await playFilm();
			return (await this.look()) < early + SLACK;
		});
	}
}

t.test(`${FRAMES} mutated frames over IPC`, async (t) => {
	const seed = "ipc-1";
	const mutator = new Mutator(seed);
	const requests = [...METHODS, "reboot"].map((method, id) => ({
		id,
		method,
		params: { title: SECRET, list: [1, [2]] },
	}));
	const frames = requests.map((each) =>
		Buffer.from(`${JSON.stringify(each)}\n`),
	);
	const watch = new Watch();
	let answered = 0;
	let refused = 0;
	const before = performance.now();
	const work = flood(FRAMES, LANES, async () => {
		const frame =
			mutator.below(2) === 0
				? mutator.bytes(frames)
				: Buffer.from(`${mutator.json(mutator.pick(requests))}\n`);
		const said = (await bring({ path: socket }, frame)).toString();
		for (const line of said.split("\n").filter((each) => each !== "")) {
			const reply = JSON.parse(line);
			if (reply.ok === true) answered++;
			else if (reply.code === "REQUEST_INVALID") refused++;
			else throw new Error(`${reply.code} ${reply.message}`);
		}
	});
	const looks = await beside(work, async () => {
		status.parse(await ask("status"));
		await watch.look();
	});
	t.comment(
		`${seed}: ${answered} answered, ${refused} refused, ${looks} looks, peak ${watch.peak}, ${seconds(before)}`,
	);
	t.ok(looks > 20, "honest clients were answered all along");
	t.ok(answered > FRAMES / 100, "some were near enough to right");
	t.ok(refused > FRAMES / 4, "most were wrong");
	await watch.settled();
	const { text } = await look();
	for (const reason of ["not-json", "bad-schema", "unknown-method"])
		t.match(
			text,
			new RegExp(`larder_ipc_refusals_total{reason="${reason}"} \\d{2}`),
		);
});

t.test(`${REQUESTS} mutated requests to the gateway`, async (t) => {
	const seed = "gateway-1";
	const mutator = new Mutator(seed);
	const name = film.manifest.files[0]?.path ?? "";
	const path = `/t/${token}/titles/${film.id}`;
	const host = `Host: 127.0.0.1:${port}`;
	const requests = [
		`GET ${path}/${name} HTTP/1.1|${host}|Range: bytes=1000-2999||`,
		`GET ${path}/${name} HTTP/1.1|${host}|Range: bytes=-700|Accept: */*||`,
		`GET ${path}/${name} HTTP/1.1|${host}|If-Match: *|Range: bytes=5000-||`,
		`HEAD ${path}/${name} HTTP/1.1|${host}|Range: bytes=-500||`,
		`GET ${path}/ HTTP/1.1|${host}|Cookie: ${SECRET}||`,
		`GET http://localhost:${port}${path} HTTP/1.1|${host}|Connection: close||`,
		`GET /t/${token}/titles HTTP/1.0|${host}||`,
		`GET /readyz?${SECRET} HTTP/1.1|${host}|Expect: 100-continue||`,
		`GET /t/${token}/${SECRET} HTTP/1.1|${host}|Upgrade: h2c|Connection: Upgrade||`,
		`OPTIONS ${path}/${name} HTTP/1.1|${host}|Origin: http://localhost:3000||`,
		`POST ${path}/${name} HTTP/1.1|${host}|Content-Length: 10||${SECRET}`,
		`PUT / HTTP/1.1|${host}|Transfer-Encoding: chunked||17|${SECRET}|0||`,
	].map((text) => text.replaceAll("|", "\r\n"));
	const whole = requests.map((text) => Buffer.from(text));
	const headers = requests.map((text) =>
		Buffer.from(text.slice(text.indexOf("\r\n"))),
	);
	const watch = new Watch();
	const codes = new Map<string, number>();
	const before = performance.now();
	const work = flood(REQUESTS, LANES, async () => {
		// Half of them behind a good first line, which most faults would hit.
		const [line = ""] = mutator.pick(requests).split("\r\n");
		const request =
			mutator.below(2) === 0
				? mutator.bytes(whole)
				: Buffer.concat([Buffer.from(line), mutator.bytes(headers)]);
		// Of half a header, there is no answer to wait for.
		const waits = request.includes("\r\n\r\n");
		const door = { port, host: "127.0.0.1" };
		const said = (await bring(door, request, waits)).toString("latin1");
		const code = /^HTTP\/1\.1 (\d{3}) /.exec(said)?.[1] ?? (said && "?");
		codes.set(code, (codes.get(code) ?? 0) + 1);
		if (code === "?" || code.startsWith("5"))
			throw new Error(JSON.stringify([request.toString("latin1"), said]));
	});
	const looks = await beside(work, async () => {
		await playFilm();
		await watch.look();
	});
	t.comment(
		`${seed}: ${JSON.stringify(Object.fromEntries(codes))}, ${looks} films played, peak ${watch.peak}, ${seconds(before)}`,
	);
	t.ok(looks > 5, "the film played all along");
	for (const code of ["200", "206", "400", "404", "421"])
		t.ok((codes.get(code) ?? 0) > 0, `${code}: both sides of each door`);
	await watch.settled();
});

t.test("the agent is the one it was, and has told nobody", async (t) => {
	t.equal(playerToken.parse(await ask("player-token")).token, token);
	const log = await readFile(box.process?.logFile ?? "", "utf8");
	t.match(log, /"ready"/);
	t.notMatch(log, SECRET);
	t.notMatch(log, `${token}`);
	t.notMatch((await look()).text, `${token}`);
});
