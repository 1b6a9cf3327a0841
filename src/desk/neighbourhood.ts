import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import { apiToken } from "../headend/api/door.ts";
import { issueBox } from "../headend/operator/issue.ts";
import { initOperator, type Operator } from "../headend/operator/operator.ts";
import { callIpc } from "../ipc/client.ts";
import type { BoxId, Region } from "../wire/ids.ts";
import { type Status, status } from "../wire/ipc.ts";
import { parseValue } from "../wire/json.ts";
import { Observer } from "./observer.ts";
import { freeTcpPort, freeUdpPort } from "./ports.ts";
import { DeskProcess } from "./process.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const MAIN = join(ROOT, "src", "cli", "main.ts");
const BUNDLE = join(
	ROOT,
	"dist",
	"agent",
	`linux-${process.arch}`,
	"larder.mjs",
);

export interface NeighbourhoodOptions {
	/** An empty or absent folder for everything that the neighbourhood writes. */
	readonly dir: string;
	readonly copies: number;
	/** A broker that runs already; by default an embedded one is started. */
	readonly broker?: string;
	/** Size of the disk that each box gives: as in larder.toml. */
	readonly quota?: string;
	readonly maxPeers?: number;
	readonly tcp?: boolean;
	readonly takeover?: string;
	/** Whether a process of our own serves the origin folder. */
	readonly origin?: boolean;
	readonly originPort?: number;
}

/** A box on the desk: its folder and, while it runs, its process. */
export interface DeskBox {
	readonly id: BoxId;
	readonly name: string;
	readonly dir: string;
	process: DeskProcess | undefined;
}

/**
 * A whole neighbourhood as real processes on this machine: broker, DHT nodes, origin, headend, and boxes that run the bundle.
 * Owner of every process that it starts; `close` ends them all.
 */
export class Neighbourhood {
	readonly dir: string;
	readonly brokerUrl: string;
	readonly operator: Operator;
	readonly apiPort: number;
	readonly boxes: DeskBox[] = [];
	readonly observer: Observer;
	broker: DeskProcess | undefined;
	readonly dhtNodes: DeskProcess[] = [];
	origin: DeskProcess | undefined;
	headend: DeskProcess | undefined;
	private readonly options: NeighbourhoodOptions;
	/** Every process that was started or is about to be. */
	private readonly started = new Set<Promise<DeskProcess>>();
	private named = 0;

	private constructor(
		options: NeighbourhoodOptions,
		operator: Operator,
		brokerUrl: string,
		apiPort: number,
	) {
		this.options = options;
		this.dir = options.dir;
		this.operator = operator;
		this.brokerUrl = brokerUrl;
		this.apiPort = apiPort;
		this.observer = new Observer(brokerUrl);
	}

	/** Starts everything but the boxes. */
	static async start(options: NeighbourhoodOptions): Promise<Neighbourhood> {
		const { dir, copies } = options;
		await mkdir(join(dir, "logs"), { recursive: true });
		const brokerPort = await freeTcpPort();
		const brokerUrl = options.broker ?? `mqtt://127.0.0.1:${brokerPort}`;
		const dhtPorts = [await freeUdpPort(), await freeUdpPort()];
		const bootstrap = dhtPorts.map((port) => `127.0.0.1:${port}`);
		const apiPort = await freeTcpPort();
		const operator = await initOperator(join(dir, "operator"), {
			region: "desk-1" as Region,
			copies,
			bootstrap,
			swarmPort: await freeUdpPort(),
			brokerUrl,
			originPort: options.originPort ?? (await freeTcpPort()),
			apiPort,
		});
		const neighbourhood = new Neighbourhood(
			options,
			operator,
			brokerUrl,
			apiPort,
		);
		try {
			if (options.broker === undefined) await neighbourhood.startBroker();
			for (const [index, port] of dhtPorts.entries()) {
				const others = bootstrap
					.slice(0, index)
					.flatMap((node) => ["--join", node]);
				const args = [
					"bootstrap",
					"--host",
					"127.0.0.1",
					"--port",
					`${port}`,
					...others,
				];
				neighbourhood.dhtNodes.push(
					await neighbourhood.run(`dht-${index + 1}`, args),
				);
			}
			if (options.origin !== false) await neighbourhood.startOrigin();
			await neighbourhood.startHeadend();
		} catch (error) {
			await neighbourhood.close();
			throw error;
		}
		return neighbourhood;
	}

	get pageUrl(): Promise<string> {
		return apiToken(this.operator.dir).then(
			(token) => `http://127.0.0.1:${this.apiPort}/?token=${token}`,
		);
	}

	async startBroker(): Promise<void> {
		const port = new URL(this.brokerUrl).port;
		this.broker = await this.run("broker", ["broker", "--port", port]);
	}

	async startOrigin(): Promise<void> {
		this.origin = await this.run("origin", ["origin", "-d", this.operator.dir]);
	}

	async startHeadend(): Promise<void> {
		const args = [
			"headend",
			"-d",
			this.operator.dir,
			"--no-origin",
			"--plan-after",
			"500",
		];
		this.headend = await this.run("headend", args);
	}

	/** Issues a box and starts it. */
	async addBox(
		settings: Partial<Parameters<typeof issueBox>[1]> = {},
	): Promise<DeskBox> {
		const name = `box-${++this.named}`;
		const dir = join(this.dir, name);
		const { quota = "4 GiB", maxPeers, tcp, takeover = "5 s" } = this.options;
		const id = await issueBox(this.operator, {
			serial: name,
			dir,
			data: "data",
			swarmHost: "127.0.0.1",
			swarmPort: 0,
			reach: "direct",
			quota,
			takeover,
			gatewayPort: 0,
			socket: join(dir, "agent.sock"),
			...(maxPeers !== undefined && { maxPeers }),
			...(tcp !== undefined && { tcp }),
			...settings,
		});
		const box: DeskBox = { id, name, dir, process: undefined };
		this.boxes.push(box);
		await this.startBox(box);
		return box;
	}

	async startBox(box: DeskBox): Promise<void> {
		const args = [BUNDLE, "agent", "-c", join(box.dir, "larder.toml")];
		box.process = await this.launch(box.name, args);
	}

	/** Where the box's player page and titles are. */
	gatewayOf(box: DeskBox): string {
		return `http://127.0.0.1:${box.process?.ready["gateway"]}`;
	}

	async statusOf(box: DeskBox): Promise<Status> {
		const socket = join(box.dir, "agent.sock");
		const read = parseValue(
			status,
			await callIpc(socket, "status", 5 * SECOND),
		);
		if (!read.ok) throw new LarderError("COMMAND_FAILED", read.detail);
		return read.value;
	}

	/**
	 * Resolves when the boxes have reported over MQTT that they hold all that is placed, and all copies are placed.
	 * @param shards copies of shards to be held in all
	 */
	async filled(shards: number, signal: AbortSignal): Promise<void> {
		await this.observer.until(() => {
			const { placed, held } = this.levels();
			return placed >= shards && held === placed;
		}, signal);
	}

	/** Shards placed and held over all boxes, as last reported. */
	levels(): {
		placed: number;
		held: number;
		placedBytes: number;
		heldBytes: number;
	} {
		const sum = { placed: 0, held: 0, placedBytes: 0, heldBytes: 0 };
		for (const fill of this.observer.fills.values()) {
			sum.placed += fill.shards.placed;
			sum.held += fill.shards.held;
			sum.placedBytes += fill.placedBytes;
			sum.heldBytes += fill.heldBytes;
		}
		return sum;
	}

	/** Ends every process, boxes first; the folder stays. */
	async close(): Promise<void> {
		await this.observer.close();
		const all = (await Promise.allSettled(this.started)).flatMap((start) =>
			start.status === "fulfilled" ? [start.value] : [],
		);
		const services = new Set([this.headend, this.origin, this.broker]);
		const isService = (process: DeskProcess) =>
			services.has(process) || this.dhtNodes.includes(process);
		const boxes = all.filter((process) => !isService(process));
		await Promise.all(boxes.map((process) => process.stop()));
		await this.headend?.stop();
		await Promise.all(all.map((process) => process.stop()));
	}

	private async run(
		name: string,
		args: readonly string[],
	): Promise<DeskProcess> {
		return await this.launch(name, [MAIN, ...args]);
	}

	private async launch(
		name: string,
		args: readonly string[],
	): Promise<DeskProcess> {
		const start = DeskProcess.start(name, args, this.logOf(name));
		this.started.add(start);
		return await start;
	}

	private logOf(name: string): string {
		return join(this.dir, "logs", `${name}.log`);
	}
}
