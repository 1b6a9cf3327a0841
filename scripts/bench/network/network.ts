import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join as joinPath } from "node:path";
import type { Bytes, Millis } from "../../../src/base/units.ts";
import { run } from "../../run.ts";

/** This process's own address: broker, DHT nodes, headend and tracker are here, behind no cap. */
export const HUB = "10.77.0.1";
/** A packet and a half: what leaves, leaves at the rate. */
const BURST = "4kb";
/** How much waits before a packet is dropped, as at a household's modem. */
const QUEUE = "400ms";
const DELAY = joinPath(import.meta.dirname, "delay.py");
/** The table of routes by which packets between nodes take their time. */
const SLOW = 100;

/** Bits a second. */
export interface Caps {
	/** The trunk: what the source may send. */
	readonly source: number;
	/** What each box may send. */
	readonly up: number;
	/** What each box may receive. */
	readonly down: number;
}

/** One machine of the network. */
export interface Node {
	readonly address: string;
	/** Runs what follows it there, as the same process. */
	readonly through: readonly string[];
	/** Its end at the hub, whose counters see what it really sent. */
	readonly port: string;
}

/**
 * A source and boxes, each in a network namespace of its own, around a router, which is this process's namespace. A namespace has no
 * name: it is gone with the last process in it, and all are ended with the PID namespace in which this runs.
 */
export class Network {
	readonly source: Node;
	readonly boxes: readonly Node[];
	private readonly holders: readonly ChildProcess[];
	private relay: ChildProcess | undefined;

	private constructor(nodes: readonly Node[], holders: ChildProcess[]) {
		const [source, ...boxes] = nodes;
		if (source === undefined) throw new Error("a network has a source");
		this.source = source;
		this.boxes = boxes;
		this.holders = holders;
	}

	/**
	 * @param caps none until `shape` says otherwise
	 * @param roundTrip of packets from node to node and back, on top of what this machine takes
	 */
	static async open(
		boxes: number,
		caps?: Caps,
		roundTrip: Millis = 0,
	): Promise<Network> {
		await inShell(
			"ip link set lo up",
			`ip address add ${HUB}/32 dev lo`,
			"echo 1 > /proc/sys/net/ipv4/ip_forward",
		);
		const nodes: Node[] = [];
		const holders: ChildProcess[] = [];
		for (let i = 0; i <= boxes; i++) {
			const holder = await hold();
			holders.push(holder);
			nodes.push(await join(i, holder.pid ?? 0));
		}
		const network = new Network(nodes, holders);
		if (roundTrip > 0) await network.delay(roundTrip);
		if (caps !== undefined) await network.shape(caps);
		return network;
	}

	/** From now on. */
	async shape({ source, up, down }: Caps): Promise<void> {
		const shaped = (rate: number) =>
			`root tbf rate ${rate}bit burst ${BURST} latency ${QUEUE}`;
		const lines = [this.source, ...this.boxes].flatMap((node, i) => [
			`tc qdisc replace dev ${node.port} ${shaped(down)}`,
			`${node.through.join(" ")} tc qdisc replace dev eth0 ${shaped(i === 0 ? source : up)}`,
		]);
		await inShell(...lines);
	}

	/** Packets from node to node and back take so much longer from now on; 0 for no longer than this machine takes. */
	async delay(roundTrip: Millis): Promise<void> {
		const nodes = [this.source, ...this.boxes];
		if (this.relay !== undefined) {
			await end(this.relay);
			this.relay = undefined;
			await inShell(...nodes.map((_, i) => `ip rule delete pref ${100 + i}`));
		}
		if (roundTrip > 0) this.relay = await slow(nodes, roundTrip / 2);
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
		for (const holder of this.holders) await end(holder);
		if (this.relay !== undefined) await end(this.relay);
		await inShell(
			...[this.source, ...this.boxes].map(
				({ port }) => `ip link delete ${port} 2>/dev/null || true`,
			),
			`ip address delete ${HUB}/32 dev lo`,
			"ip rule flush",
			"ip rule add pref 32766 lookup main",
		);
	}
}

async function end(child: ChildProcess): Promise<void> {
	const ended = once(child, "close");
	child.kill("SIGKILL");
	await ended;
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

async function join(index: number, pid: number): Promise<Node> {
	const port = `port${index}`;
	const address = `10.77.0.${10 + index}`;
	const through = ["nsenter", `--net=/proc/${pid}/ns/net`, "--"];
	const there = through.join(" ");
	await inShell(
		`ip link add ${port} type veth peer name eth0 netns ${pid}`,
		`ip link set ${port} up`,
		`${there} ip link set lo up`,
		`${there} ip address add ${address}/32 dev eth0`,
		`${there} ip link set eth0 up`,
		`${there} ip route add ${HUB} dev eth0`,
		`${there} ip route add default via ${HUB}`,
		`ip route add ${address} dev ${port}`,
	);
	return { address, through, port };
}

/** Leads what nodes send to each other through a program that keeps each packet for a while. */
async function slow(
	nodes: readonly Node[],
	oneWay: Millis,
): Promise<ChildProcess> {
	const delay = spawn("python3", [DELAY, "slow0", `${oneWay}`], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	await once(delay.stdout, "data");
	await inShell(
		"ip link set slow0 up",
		"echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter",
		"echo 0 > /proc/sys/net/ipv4/conf/slow0/rp_filter",
		`ip route add default dev slow0 table ${SLOW}`,
		...nodes.map(
			({ port }, i) => `ip rule add pref ${100 + i} iif ${port} lookup ${SLOW}`,
		),
	);
	return delay;
}

async function inShell(...lines: readonly string[]): Promise<void> {
	await run("sh", ["-ec", lines.join("\n")]);
}
