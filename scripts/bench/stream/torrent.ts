import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { sleep } from "../../../src/base/time.ts";
import { run } from "../../run.ts";
import { PYTHON } from "../exchange/torrent.ts";
import { startTracker } from "../fill/tracker.ts";
import type { Node } from "../network/network.ts";
import { Program } from "../network/program.ts";
import {
	COPIES,
	type Contestant,
	type House,
	type Stage,
} from "./contestant.ts";

const SCRIPT = join(import.meta.dirname, "torrent.py");
const PORT = 8491;
const LOOK = 50;

/** What torrent.py takes for one box. */
interface Order {
	readonly address: string;
	/** Where its player asks, on loopback. */
	readonly port: number;
	/** A file that it makes once it is ready. */
	readonly mark: string;
	readonly titles: readonly {
		readonly name: string;
		readonly torrent: string;
		/** Where it lies, or is to. */
		readonly folder: string;
		readonly seeds: boolean;
	}[];
}

/** A swarm for each title, with as many seeds among the boxes as Larder has copies, and the source. */
export const libtorrent: Contestant = {
	name: "libtorrent, sequential",
	about: `BitTorrent over TCP, what the player asks for first, with deadlines, and what follows it in order; ${COPIES} boxes and the source behind the trunk seed each title; peers by a tracker`,
	open,
};

async function open(
	{ dir, film, network, titles }: Stage,
	signal: AbortSignal,
): Promise<House> {
	const tracker = await startTracker();
	const programs: Program[] = [];
	const close = async () => {
		await Promise.all(programs.map((program) => program.close()));
		await tracker.close();
	};
	const whole = join(dir, "titles");
	const names = Array.from({ length: titles }, (_, i) => `title-${i}`);
	const torrentOf = (name: string) => join(dir, `${name}.torrent`);
	const begin = async (
		who: string,
		node: Node,
		seeds: (title: number) => boolean,
	) => {
		const own = join(dir, who);
		await mkdir(own);
		const mark = join(dir, `${who}.ready`);
		const order: Order = {
			...{ address: node.address, port: PORT, mark },
			titles: names.map((name, i) => ({
				...{ name, torrent: torrentOf(name), seeds: seeds(i) },
				folder: seeds(i) ? whole : own,
			})),
		};
		const command = [PYTHON, SCRIPT, "box", JSON.stringify(order)];
		const log = join(dir, `${who}.log`);
		const program = new Program(`libtorrent ${who}`, node, command, log);
		programs.push(program);
		while (!existsSync(mark)) {
			program.mustRun();
			await sleep(LOOK, signal);
		}
	};
	const { source, boxes } = network;
	const spacing = Math.max(1, Math.floor(boxes.length / titles));
	try {
		await mkdir(whole);
		for (const name of names) {
			// Each is a torrent of its own, for its name is another.
			await run("cp", ["-al", film, join(whole, name)]);
			const made = [join(whole, name), torrentOf(name), tracker.url];
			await run(PYTHON, [SCRIPT, "make", ...made]);
		}
		await begin("source", source, () => true);
		for (const [i, node] of boxes.entries())
			await begin(`box-${i + 1}`, node, (title) => {
				const behind = i - title * spacing + boxes.length;
				return behind % boxes.length < COPIES;
			});
	} catch (error) {
		await close();
		throw error;
	}
	return {
		urlOf: (_, title) => `http://127.0.0.1:${PORT}/${names[title]}`,
		sourcesOf: async () => undefined,
		kill: async (box) => {
			await programs[box + 1]?.close();
		},
		close,
	};
}
