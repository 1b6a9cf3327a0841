import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import {
	appendFile,
	mkdir,
	readdir,
	readFile,
	writeFile,
} from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { SECOND } from "../../src/base/time.ts";
import { MqttSession } from "../../src/control/client.ts";
import type { DeskBox, Neighbourhood } from "../../src/desk/neighbourhood.ts";
import { HEADEND } from "../../src/headend/control/broker.ts";
import { seal } from "../../src/wire/envelope.ts";
import { encodeMessage, parseMessage } from "../../src/wire/json.ts";
import { type Reported, reported } from "../../src/wire/reports.ts";
import { downTopic, headTopic, upTopic } from "../../src/wire/topics.ts";
import { makeOperator } from "../fixture.ts";
import {
	addBoxes,
	type Film,
	filled,
	larder,
	logOf,
	openDesk,
	play,
	poll,
	publishFilm,
	temporary,
} from "./desk.ts";

const SIZE = 1024 * 1024;

t.setTimeout(240_000);

t.test("configuration files", async (t) => {
	const dir = await temporary(t);
	const path = join(dir, "larder.toml");
	const faulty = {
		data: "data = 5",
		log_level: 'log_level = "loud"',
		"swarm.bootstrap": '[swarm]\nbootstrap = ["nowhere"]',
		"swarm.reach": 'reach = "sideways"',
		"swarm.tcp_port": "tcp_port = 99999",
		"broker.url": '[broker]\nurl = "http://127.0.0.1"',
		"origin.url": '[origin]\nurl = "nowhere"',
		"store.quota": '[store]\nquota = "much"',
		"store.qouta": 'qouta = "20 GiB"',
	};
	await writeFile(path, Object.values(faulty).join("\n"));
	const { code, said } = await larder("agent", "-c", path);
	t.equal(code, 1);
	for (const key of Object.keys(faulty))
		t.ok(said.includes(`${path}:${key}`), `names ${key}`);

	await writeFile(path, "data = [");
	const torn = await larder("agent", "-c", path);
	t.equal(torn.code, 1);
	t.match(torn.said, `${path}`);
	t.match(torn.said, "CONFIG_INVALID");
});

t.test("what comes from outside", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const film = await publishFilm(desk, SIZE);
	const [box] = await addBoxes(desk, 2);
	if (box === undefined) throw new Error("no box");
	await filled(desk, film.shards * 2);
	const placed = (await desk.statusOf(box)).control.lastPlacement;
	// Taken up once nothing has changed in them for a while.
	await dropFaultyPackages(desk);

	await t.test("to the control plane", (t) => forge(t, desk, box, film));
	t.same(
		(await desk.statusOf(box)).control.lastPlacement,
		placed,
		"the placement in force is still the operator's",
	);
	await t.test("to the agent's socket", (t) => babble(t, desk, box));
	await t.test("to the gateway and the origin", (t) =>
		junkRequests(t, desk, box, film),
	);
	await t.test("to the ports of the swarm", (t) => junkPackets(t, desk, box));
	await t.test("into the file that a running agent watches", async () => {
		const path = join(box.dir, "larder.toml");
		const before = await readFile(path, "utf8");
		await appendFile(path, "\n[rates]\nup = 'fast'\n");
		await poll("the fault is told", async () => {
			const log = box.process && (await logOf(box.process));
			return log?.some((entry) =>
				JSON.stringify(entry).includes("configuration not taken"),
			);
		});
		await writeFile(path, before);
	});
	await t.test("into the ingest folder", (t) => readFaults(t, desk));

	t.notOk(desk.broken.aborted, "every process is up");
	const { bytes, mismatches } = await play(desk, box, film);
	t.same({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });
});

/** Sends a box what its operator did not say. Each is refused by name, and changes nothing. */
async function forge(
	t: Test,
	desk: Neighbourhood,
	{ id }: DeskBox,
	film: Film,
): Promise<void> {
	const said: Reported[] = [];
	let heard: () => void = () => undefined;
	const session = new MqttSession({
		url: desk.brokerUrl,
		clientId: `${HEADEND}forger`,
		subscriptions: [upTopic(id, "reported")],
		onMessage: async (_, payload) => {
			const read = parseMessage(reported, payload);
			if (!read.ok) return;
			said.push(read.value);
			heard();
		},
		log: silent,
	});
	session.start();
	t.teardown(() => session.close());
	await poll("connected", async () => session.connected && said.length > 0);

	const { network, region, signers } = desk.operator;
	const other = desk.boxes.find((each) => each.id !== id)?.id;
	const epoch = said[0]?.epoch ?? 0;
	const nothing = { titles: [] };
	// Above what the box was told, so that nothing is refused for being old.
	const rev = Math.floor(Date.now() / 1000) + 60;
	const mine = { network, region, box: id, epoch: epoch + 9, rev };
	const stranger = makeOperator();
	const desired = downTopic(id, "desired");
	const command = downTopic(id, "command");
	const head = headTopic(region);
	const { placement, catalog, issuer } = signers;
	const order = (expires: number) => ({
		...{ network, box: id, id: "0".repeat(32), issuedAt: 1, expires },
		body: { kind: "report" },
	});
	const signed = JSON.parse(
		seal(placement, { ...mine, body: nothing }).toString(),
	);
	const forgeries: [string, string, Buffer, string][] = [
		["garbage", desired, randomBytes(300), "not-json"],
		["3 MiB of it", desired, randomBytes(3 << 20), "not-json"],
		["nothing", desired, Buffer.alloc(0), "not-json"],
		["JSON of another kind", desired, encodeMessage(mine), "bad-schema"],
		[
			"a placement of another operator",
			desired,
			seal(stranger.signer("placement"), { ...mine, body: nothing }),
			"bad-signature",
		],
		[
			"a placement signed with a key for something else",
			desired,
			seal(issuer, { ...mine, body: nothing }),
			"wrong-purpose",
		],
		[
			"one that says it was signed for placements",
			desired,
			encodeMessage({
				...JSON.parse(seal(issuer, { ...mine, body: nothing }).toString()),
				purpose: "placement",
			}),
			"wrong-purpose",
		],
		[
			"a placement changed on its way",
			desired,
			encodeMessage({
				...signed,
				payload: Buffer.from(
					JSON.stringify({ ...mine, rev: rev + 1, body: nothing }),
				).toString("base64"),
			}),
			"bad-signature",
		],
		[
			"a neighbour's placement",
			desired,
			seal(placement, { ...mine, box: other, body: nothing }),
			"wrong-box",
		],
		[
			"another region's placement",
			desired,
			seal(placement, { ...mine, region: "elsewhere", body: nothing }),
			"wrong-region",
		],
		[
			"yesterday's placement",
			desired,
			seal(placement, { ...mine, epoch, rev: 1, body: nothing }),
			"rollback",
		],
		[
			"a placement whose titles lie outside the origin",
			desired,
			seal(placement, {
				...mine,
				body: { ref: "../keys/root.json", sha256: "0".repeat(64), size: 9 },
			}),
			"bad-ref",
		],
		[
			"a title id that is none",
			desired,
			seal(placement, {
				...mine,
				body: { titles: [{ id: "../../etc", ranks: [] }] },
			}),
			"bad-schema",
		],
		["a command too late", command, seal(placement, order(2)), "expired"],
		[
			"a command of another operator",
			command,
			seal(stranger.signer("placement"), order(Date.now() + 1e6)),
			"bad-signature",
		],
		["a head that is garbage", head, randomBytes(64), "not-json"],
		[
			"a head of another operator",
			head,
			headOf(seal(stranger.signer("catalog"), { network, region })),
			"bad-signature",
		],
		[
			"a head without content",
			head,
			headOf(seal(catalog, { network })),
			"bad-schema",
		],
		["an envelope instead of a head", head, seal(catalog, {}), "bad-schema"],
	];
	for (const [what, topic, payload, slug] of forgeries) {
		const from = said.length;
		const answer = new Promise<void>((resolve) => {
			heard = () => {
				if (said.slice(from).some(({ phase }) => phase === "refused"))
					resolve();
			};
		});
		await session.publish(topic, payload);
		await Promise.race([
			answer,
			new Promise((_, reject) =>
				setTimeout(
					() => reject(new Error(`${what} was not refused`)),
					5 * SECOND,
				).unref(),
			),
		]);
		const refused = said.slice(from).find(({ phase }) => phase === "refused");
		t.equal(refused?.code, slug, `${what}: ${refused?.detail}`.slice(0, 150));
	}
	// The headend listens to the same broker.
	for (const kind of ["state", "reported", "fill", "request"] as const)
		for (const payload of [randomBytes(99), Buffer.from("{}")])
			await session.publish(upTopic(id, kind), payload);
	const titles = (await desk.statusOf(desk.boxes[0]!)).titles;
	t.ok(titles.some((title) => title.id === film.id && title.held > 0));
}

/** Bytes that are no requests, and requests that are never finished. */
async function babble(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox,
): Promise<void> {
	const path = join(box.dir, "agent.sock");
	const noises = [
		randomBytes(4096),
		Buffer.from("\n\n\n\0\n"),
		Buffer.from('{"id":1}\n'),
		Buffer.from('{"id":1,"method":"format-disk"}\n'),
		Buffer.from(`${"[".repeat(100_000)}\n`),
		Buffer.alloc(2 << 20, "x"),
		Buffer.from('{"id":'),
	];
	for (const noise of noises) {
		const socket = connect(path);
		t.teardown(() => socket.destroy());
		socket.on("error", () => undefined);
		await once(socket, "connect");
		socket.resume();
		socket.write(noise);
		t.ok(await desk.statusOf(box), `${noise.length} bytes`);
	}
}

/** Answers of an HTTP server to raw bytes, whatever they are; empty when it hung up. */
async function raw(port: number, bytes: string): Promise<string> {
	const socket = connect(port, "127.0.0.1");
	const parts: Buffer[] = [];
	socket.on("data", (part) => parts.push(part));
	socket.on("error", () => undefined);
	socket.setTimeout(SECOND, () => socket.destroy());
	socket.write(bytes);
	await new Promise<void>((resolve) => socket.once("close", () => resolve()));
	return Buffer.concat(parts).toString("latin1");
}

async function junkRequests(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
): Promise<void> {
	const gateway = Number(box.process?.ready["gateway"]);
	const origin = Number(desk.origin?.ready["port"]);
	const up = "../".repeat(9);
	const coded = "%2e%2e%2f".repeat(9);
	const paths = [
		`/${up}etc/passwd`,
		`/${coded}etc/passwd`,
		`//etc/passwd`,
		`/titles/${up}etc/passwd`,
		`/titles/${film.id}/${up}etc/passwd`,
		`/titles/${film.id}/${coded}etc/passwd`,
		`/titles/${film.id}/..%5c..%5cidentity.json`,
		`/titles/${film.id}/%00`,
		`/titles/${film.id}/%ff%fe`,
		`/${film.id}/../../keys/root.json`,
		`/${film.id}/..%2f..%2fkeys/root.json`,
		`/${film.id}/manifest/../../../keys/root.json`,
		`/placement/${up}keys/root.json`,
		`/${"x".repeat(10_000)}`,
	];
	for (const port of [gateway, origin])
		for (const path of paths) {
			const answer = await raw(
				port,
				`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`,
			);
			const where = `${port === origin ? "origin" : "gateway"} ${path}`;
			t.match(answer, /^HTTP\/1\.1 4\d\d /, where.slice(0, 100));
			t.notMatch(answer, /root:|"seed"/);
		}
	const requests = [
		"\0\x01\x02\r\n\r\n",
		"BREW /pot HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: x\r\n\r\n",
		`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ${"y".repeat(64 * 1024)}\r\n\r\n`,
		"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
		"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
	];
	for (const port of [gateway, origin])
		for (const request of requests)
			t.match(
				await raw(port, request),
				/^HTTP\/1\.1 4\d\d |^$/,
				JSON.stringify(request.slice(0, 60)),
			);
	const name = film.manifest.files[0]?.path;
	for (const [port, path] of [
		[gateway, `/titles/${film.id}/${name}`],
		[origin, `/${film.id}/0`],
	] as const)
		for (const range of [
			"bytes=a-b",
			"bytes=9-1",
			"bytes=-0",
			"bytes=99999999999999999999-",
			"bytes=0-0,2-2,4-4",
			`bytes=${"0-1,".repeat(3000)}0-1`,
			"pages=1-2",
		]) {
			const answer = await raw(
				port,
				`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nRange: ${range}\r\nConnection: close\r\n\r\n`,
			);
			t.match(answer, /^HTTP\/1\.1 (200|206|4\d\d) /, range.slice(0, 40));
		}
	t.ok(await desk.statusOf(box));
}

async function junkPackets(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox,
): Promise<void> {
	const { udp, tcp } = box.process?.ready ?? {};
	const socket = createSocket("udp4");
	t.teardown(() => socket.close());
	for (let size = 1; size < 1400; size += 7) {
		const packet = randomBytes(size);
		// The first byte chooses the protocol.
		packet[0] = size & 1 ? 0x03 : size & 0xff;
		socket.send(packet, Number(udp), "127.0.0.1");
	}
	const answers = await Promise.all(
		[randomBytes(9000), Buffer.alloc(4, 0xff), Buffer.alloc(0)].map((bytes) =>
			raw(Number(tcp), bytes.toString("latin1")),
		),
	);
	t.same(
		answers.map((answer) => /HTTP/.test(answer)),
		[false, false, false],
	);
	const { swarm } = await desk.statusOf(box);
	t.ok(swarm.neighbours.length > 0, "its neighbours stay");
}

async function dropFaultyPackages({ operator }: Neighbourhood): Promise<void> {
	const ingest = join(operator.dir, "ingest");
	await mkdir(join(ingest, "torn"));
	await writeFile(
		join(ingest, "torn", "index.m3u8"),
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n0.ts\n#EXTINF:2.0,\n../../keys/root.json\n#EXT-X-ENDLIST\n",
	);
	await writeFile(join(ingest, "noise.mp4"), randomBytes(10_000));
	await mkdir(join(ingest, "empty"));
	await writeFile(join(ingest, "empty", "readme.txt"), "nothing to play");
}

async function readFaults(t: Test, desk: Neighbourhood): Promise<void> {
	const ingest = join(desk.operator.dir, "ingest");
	const faults: [string, RegExp][] = [
		["torn", /0\.ts/],
		["torn", /root\.json/],
		["noise.mp4", /noise\.mp4/],
		["empty", /./],
	];
	for (const [entry, what] of faults) {
		const report = await poll(`${entry}.faults.txt is there`, async () => {
			const path = join(ingest, `${entry}.faults.txt`);
			return readFile(path, "utf8").catch(() => undefined);
		});
		t.match(report, what, entry);
	}
	t.equal((await readdir(join(desk.operator.dir, "titles"))).length, 1);
	const { said } = await larder("titles", "-d", desk.operator.dir);
	t.equal(said.trim().split("\n").length, 1, said);
}

function headOf(announcement: Buffer): Buffer {
	return encodeMessage({ announcement: JSON.parse(announcement.toString()) });
}
