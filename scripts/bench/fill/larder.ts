import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { silent } from "../../../src/base/log.ts";
import {
	type DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import { startBroker } from "../../../src/headend/control/broker.ts";
import { publish } from "../../../src/headend/publish/publish.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import type { Contestant, Race, Stage } from "./contestant.ts";
import { HUB, type Node } from "./network.ts";

const ORIGIN_PORT = 8480;
/** Agents that start at a time: starting is the heaviest thing that they do. */
const AT_ONCE = 4;

/** Agents as they are bundled for boxes, filled by a headend's plan: every box holds everything, each shard led by another. */
export const larder: Contestant = {
	name: "larder",
	about:
		"the bundled agents with their defaults, placed by a headend; the origin is nginx; a shard counts once it is verified, synced and under its name",
	open,
};

async function open(
	{ dir, content, network }: Stage,
	signal: AbortSignal,
): Promise<Race> {
	const closers: (() => Promise<unknown>)[] = [];
	const close = async () => {
		for (const each of closers.splice(0).reverse()) await each();
	};
	try {
		const broker = await startBroker({
			host: "127.0.0.1",
			port: 0,
			log: silent,
		});
		closers.push(() => broker.close());
		const relay = await relayTo(broker.port);
		closers.push(relay.close);
		const { source, boxes: nodes } = network;
		const desk = await Neighbourhood.start(
			{
				dir: join(dir, "desk"),
				copies: nodes.length,
				host: HUB,
				broker: `mqtt://${HUB}:${relay.port}`,
				origin: false,
				originUrl: `http://${source.address}:${ORIGIN_PORT}`,
				takeover: "10 s",
			},
			signal,
		);
		closers.push(() => desk.close());
		const folder = join(desk.operator.dir, "origin");
		closers.push(await serve(dir, folder, source));
		const boxes: DeskBox[] = [];
		for (let at = 0; at < nodes.length; at += AT_ONCE) {
			const adding = nodes
				.slice(at, at + AT_ONCE)
				.map(({ address, through }, i) =>
					desk.addBox(
						{ serial: `box-${at + i + 1}`, swarmHost: address },
						through,
					),
				);
			boxes.push(...(await Promise.all(adding)));
		}
		let id: TitleId | undefined;
		let shards = 0;
		const shardsOf = (folder: string) =>
			Array.from({ length: shards }, (_, shard) => join(folder, `${shard}`));
		const folderOf = (box: number) =>
			join(boxes[box]?.dir ?? "", "data", "shards", id ?? "");
		return {
			pids: () => boxes.map(({ process }) => process?.pid ?? 0),
			start: async () => {
				const order = { operatorDir: desk.operator.dir, source: content.file };
				const made = await publish({ ...order, kind: "release" }, signal);
				id = made.title.id;
				shards = heldIn(join(folder, id));
			},
			has: (box) => {
				desk.broken.throwIfAborted();
				return heldIn(folderOf(box)) === shards;
			},
			files: (box) => ({
				got: shardsOf(folderOf(box)),
				wanted: shardsOf(join(folder, id ?? "")),
			}),
			close,
		};
	} catch (error) {
		await close();
		throw error;
	}
}

/** Whole shards in a title's folder; none while there is no folder. */
function heldIn(folder: string): number {
	try {
		return readdirSync(folder).filter((name) => /^\d+$/.test(name)).length;
	} catch {
		return 0;
	}
}

/** The desk's broker listens on loopback alone: here is the way to it for boxes, in a network that nobody else is in. */
async function relayTo(port: number) {
	const server = createServer((near) => {
		const far = connect(port, "127.0.0.1");
		for (const [one, other] of [
			[near, far],
			[far, near],
		] as const) {
			one.on("error", () => other.destroy());
			one.pipe(other);
		}
	});
	const own = await freeTcpPort();
	server.listen(own, HUB);
	await once(server, "listening");
	return {
		port: own,
		close: async () => {
			server.close();
		},
	};
}

/** nginx over a folder, on the source. Gives back what ends it. */
async function serve(
	dir: string,
	folder: string,
	{ through, address }: Node,
): Promise<() => Promise<void>> {
	const config = join(dir, "nginx.conf");
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
		(name) => `${name}_temp_path ${dir}/${name};`,
	);
	await writeFile(
		config,
		`daemon off;
worker_processes 1;
user root;
pid ${dir}/nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	${temporary.join("\n\t")}
	server { listen ${address}:${ORIGIN_PORT}; root ${folder}; }
}
`,
	);
	const command = [
		...through,
		"nginx",
		"-e",
		"stderr",
		"-p",
		dir,
		"-c",
		config,
	];
	const [enter = "", ...words] = command;
	const nginx = spawn(enter, words, { stdio: ["ignore", "ignore", "pipe"] });
	const ended = once(nginx, "close");
	for await (const line of createInterface(nginx.stderr)) {
		// Its sockets are bound before it starts its first worker.
		if (!line.includes("start worker process ")) continue;
		nginx.stderr.resume();
		return async () => {
			nginx.kill("SIGTERM");
			await ended;
		};
	}
	throw new Error("nginx did not start");
}
