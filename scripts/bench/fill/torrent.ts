import { existsSync } from "node:fs";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { sleep } from "../../../src/base/time.ts";
import { run } from "../../run.ts";
import { PYTHON } from "../exchange/torrent.ts";
import type { Node } from "../network/network.ts";
import { Program } from "../network/program.ts";
import type { Contestant, Race, Stage } from "./contestant.ts";
import { startTracker } from "./tracker.ts";

const SCRIPT = join(import.meta.dirname, "swarm.py");
const LOOK = 50;

/** What starts a client that gets a torrent into a folder and then seeds it; `mark` is a file that it makes once it has all. */
type Client = (paths: {
	readonly torrent: string;
	readonly folder: string;
	readonly mark: string;
	readonly node: Node;
}) => Promise<readonly string[]>;

export const libtorrent = contestant(
	"libtorrent",
	"BitTorrent with its defaults but over TCP alone; peers by a tracker; pieces are verified",
	async ({ torrent, folder, mark, node }) => [
		...[PYTHON, SCRIPT, "run", torrent, folder, node.address, mark],
	],
);

export const aria2 = contestant(
	"aria2",
	"BitTorrent with its defaults; peers by the same tracker; pieces are verified",
	async ({ torrent, folder, mark }) => {
		const hook = `${mark}.sh`;
		await writeFile(hook, `#!/bin/sh\ntouch '${mark}'\n`);
		await chmod(hook, 0o755);
		return [
			...["aria2c", "--no-conf=true", `--dir=${folder}`],
			...["--listen-port=6881", "--enable-dht=false", "--bt-enable-lpd=false"],
			// What is there is looked through first, and then given.
			...["--check-integrity=true", "--bt-hash-check-seed=true"],
			...["--seed-ratio=0.0", "--file-allocation=none", "--summary-interval=0"],
			...[`--on-bt-download-complete=${hook}`, torrent],
		];
	},
);

function contestant(name: string, about: string, client: Client): Contestant {
	return { name, about, open: (stage) => open(name, client, stage) };
}

async function open(
	name: string,
	client: Client,
	{ dir, content, network }: Stage,
): Promise<Race> {
	const tracker = await startTracker();
	const torrent = join(dir, "content.torrent");
	const programs: Program[] = [];
	const markOf = (who: string) => join(dir, `${who}.done`);
	const folderOf = (box: number) => join(dir, `box-${box + 1}`);
	const begin = async (who: string, node: Node, folder: string) => {
		const mark = markOf(who);
		const command = await client({ torrent, folder, mark, node });
		const log = join(dir, `${who}.log`);
		const program = new Program(`${name} ${who}`, node, command, log);
		programs.push(program);
		return program;
	};
	const close = async () => {
		await Promise.all(programs.map((program) => program.close()));
		await tracker.close();
	};
	const boxes: Program[] = [];
	const start = async (signal: AbortSignal) => {
		const { source } = network;
		const seed = await begin("source", source, dirname(content.file));
		while (!existsSync(markOf("source"))) {
			seed.mustRun();
			await sleep(LOOK, signal);
		}
		for (const [i, node] of network.boxes.entries()) {
			await mkdir(folderOf(i));
			boxes.push(await begin(`box-${i + 1}`, node, folderOf(i)));
		}
	};
	try {
		const { file } = content;
		await run(PYTHON, [SCRIPT, "make", file, torrent, tracker.url]);
	} catch (error) {
		await close();
		throw error;
	}
	return {
		pids: () => boxes.map(({ pid }) => pid),
		start,
		has: (box) => {
			for (const program of programs) program.mustRun();
			return existsSync(markOf(`box-${box + 1}`));
		},
		files: (box) => ({
			got: [join(folderOf(box), basename(content.file))],
			wanted: [content.file],
		}),
		close,
	};
}
