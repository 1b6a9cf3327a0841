import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Bytes } from "../../../src/base/units.ts";
import { run } from "../../run.ts";

/** This process's own address on the bridge: broker, DHT nodes, headend and tracker are here, behind no cap. */
export const HUB = "10.77.0.1";
/** A packet and a half: what leaves, leaves at the rate. */
const BURST = "4kb";
/** How much waits before a packet is dropped, as at a household's modem. */
const QUEUE = "400ms";

/** Bits a second. */
export interface Caps {
	/** The trunk: what the source may send. */
	readonly source: number;
	/** What each box may send. */
	readonly up: number;
	/** What each box may receive. */
	readonly down: number;
}

/** One machine on the bridge. */
export interface Node {
	readonly address: string;
	/** Runs what follows it there, as the same process. */
	readonly through: readonly string[];
	/** Its end on the bridge, whose counters see what it really sent. */
	readonly port: string;
}

/**
 * A source and boxes, each in a network namespace of its own, on one bridge in this process's. A namespace has no name: it is gone with
 * the last process in it, and all are ended with the PID namespace in which this runs.
 */
export class Network {
	readonly source: Node;
	readonly boxes: readonly Node[];
	private readonly holders: readonly ChildProcess[];

	private constructor(nodes: readonly Node[], holders: ChildProcess[]) {
		const [source, ...boxes] = nodes;
		if (source === undefined) throw new Error("a network has a source");
		this.source = source;
		this.boxes = boxes;
		this.holders = holders;
	}

	static async open(boxes: number, caps: Caps): Promise<Network> {
		await inShell(
			"ip link set lo up",
			"ip link add bridge type bridge",
			`ip address add ${HUB}/24 dev bridge`,
			"ip link set bridge up",
		);
		const nodes: Node[] = [];
		const holders: ChildProcess[] = [];
		for (let i = 0; i <= boxes; i++) {
			const up = i === 0 ? caps.source : caps.up;
			const holder = await hold();
			holders.push(holder);
			nodes.push(await join(i, holder.pid ?? 0, up, caps.down));
		}
		return new Network(nodes, holders);
	}

	/** Bytes that each node has sent so far, the source first; frames with all their headers. */
	sent(): Bytes[] {
		const table = readFileSync("/proc/self/net/dev", "utf8");
		return [this.source, ...this.boxes].map(({ port }) => {
			const line = new RegExp(`^\\s*${port}:\\s*(\\d+)`, "m").exec(table);
			return Number(line?.[1] ?? Number.NaN);
		});
	}

	/** Nothing of it is left. */
	async close(): Promise<void> {
		for (const holder of this.holders) {
			holder.kill("SIGKILL");
			await once(holder, "close");
		}
		await run("ip", ["link", "delete", "bridge"]);
	}
}

/** A process that does nothing but keep a new network namespace. */
async function hold(): Promise<ChildProcess> {
	const script = "echo there; exec sleep infinity";
	const holder = spawn("unshare", ["--net", "sh", "-c", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await once(holder.stdout, "data");
	return holder;
}

async function join(
	index: number,
	pid: number,
	up: number,
	down: number,
): Promise<Node> {
	const port = `port${index}`;
	const address = `10.77.0.${10 + index}`;
	const through = ["nsenter", `--net=/proc/${pid}/ns/net`, "--"];
	const there = through.join(" ");
	const shape = (rate: number) =>
		`root tbf rate ${rate}bit burst ${BURST} latency ${QUEUE}`;
	await inShell(
		`ip link add ${port} type veth peer name eth0 netns ${pid}`,
		`ip link set ${port} master bridge up`,
		`tc qdisc add dev ${port} ${shape(down)}`,
		`${there} ip link set lo up`,
		`${there} ip address add ${address}/24 dev eth0`,
		`${there} ip link set eth0 up`,
		`${there} tc qdisc add dev eth0 ${shape(up)}`,
	);
	return { address, through, port };
}

async function inShell(...lines: readonly string[]): Promise<void> {
	await run("sh", ["-ec", lines.join("\n")]);
}
