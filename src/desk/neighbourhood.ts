import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { LarderError } from "../base/errors.ts";
import { SECOND, sleep } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { BrokerAccess } from "../control/connection.ts";
import { apiToken } from "../headend/api/tokens.ts";
import { issueBox } from "../headend/operator/issue.ts";
import { initOperator, type Operator } from "../headend/operator/operator.ts";
import { callIpc } from "../ipc/client.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import { type Status, status } from "../wire/ipc.ts";
import { parseValue } from "../wire/json.ts";
import { blankDatabase } from "./blank.ts";
import { Crew } from "./crew.ts";
import { Observer } from "./observer.ts";
import { freeTcpPort } from "./ports.ts";
import type { DeskProcess } from "./process.ts";
import { freeSettings, LOOPBACK } from "./settings.ts";

const CATALOG_LIMIT: Millis = 20 * SECOND;
const CATALOG_POLL: Millis = 50;

export interface NeighbourhoodOptions {
	/** An empty or absent folder for everything that the neighbourhood writes. */
	readonly dir: string;
	readonly copies: number;
	/** This machine's address that all are to meet at; loopback by default. */
	readonly host?: string;
	/** A broker that runs already; by default an embedded one is started. */
	readonly broker?: string;
	/** An operator that is there already, with its broker running, and how the desk comes in there to listen. */
	readonly prepared?: {
		readonly operator: Operator;
		readonly access: BrokerAccess;
	};
	/** Size of the disk that each box gives: as in larder.toml. */
	readonly quota?: string;
	readonly maxPeers?: number;
	readonly tcp?: boolean;
	readonly takeover?: string;
	/** Whether a process of our own serves the origin folder. */
	readonly origin?: boolean;
	readonly originPort?: number;
	/** How boxes reach the origin, where another server has its folder. */
	readonly originUrl?: string;
}

/** A box on the desk: its folder and, while it runs, its process. */
export interface DeskBox {
	readonly id: BoxId;
	readonly name: string;
	readonly dir: string;
	/** The command in whose world it runs: see DeskProcess. */
	readonly within?: readonly string[] | undefined;
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
	private readonly crew: Crew;
	private closing: Promise<void> | undefined;
	private named = 0;

	private constructor(
		options: NeighbourhoodOptions,
		operator: Operator,
		observer: Observer,
		crew: Crew,
	) {
		this.options = options;
		this.dir = options.dir;
		this.operator = operator;
		this.brokerUrl = operator.config.broker.url;
		this.apiPort = operator.config.api.port;
		this.observer = observer;
		this.crew = crew;
	}

	/**
	 * Starts everything but the boxes. Throws BROKER_FAILED when there is no way into the broker named, and COMMAND_FAILED
	 * when a process does not start.
	 * @param signal once it is aborted, nothing more is started, here and later
	 */
	static async start(
		options: NeighbourhoodOptions,
		signal: AbortSignal = new AbortController().signal,
	): Promise<Neighbourhood> {
		const { dir, broker, prepared } = options;
		const url = broker ?? `mqtt://127.0.0.1:${await freeTcpPort()}`;
		const observer = new Observer(prepared?.access ?? { url });
		let neighbourhood: Neighbourhood | undefined;
		try {
			// A broker that runs already is tried before anything is made.
			if (runsAlready(options)) await observer.open();
			const operator =
				prepared?.operator ??
				(await initOperator(join(dir, "operator"), {
					...(await freeSettings(options)),
					brokerUrl: url,
				}));
			await blankDatabase(join(operator.dir, "db"));
			const logs = join(dir, "logs");
			await mkdir(logs, { recursive: true });
			const crew = new Crew(logs, signal);
			neighbourhood = new Neighbourhood(options, operator, observer, crew);
			await neighbourhood.startServices();
			return neighbourhood;
		} catch (error) {
			await (neighbourhood ?? observer).close();
			throw error;
		}
	}

	/** Aborted, with a LarderError that says which and why, when a process ends that nobody stopped. */
	get broken(): AbortSignal {
		return this.crew.broken;
	}

	get pageUrl(): Promise<string> {
		return apiToken(this.operator.dir).then(
			(token) => `http://127.0.0.1:${this.apiPort}/?token=${token}`,
		);
	}

	async startBroker(): Promise<void> {
		const port = new URL(this.brokerUrl).port;
		const args = ["broker", "--port", port];
		const isAgain = this.broker !== undefined;
		this.broker = await this.crew.start("broker", "larder", args);
		if (isAgain) await this.observer.reopen();
		else await this.observer.open();
	}

	async startOrigin(): Promise<void> {
		const args = ["origin", "-d", this.operator.dir];
		this.origin = await this.crew.start("origin", "larder", args);
	}

	async startHeadend(): Promise<void> {
		const args = ["headend", "-d", this.operator.dir, "--no-origin"];
		args.push("--plan-after", "500");
		this.headend = await this.crew.start("headend", "larder", args);
	}

	/** Issues a box and starts it. Its serial number is its name. */
	async addBox(
		settings: Partial<Parameters<typeof issueBox>[1]> = {},
		within?: readonly string[],
	): Promise<DeskBox> {
		const name = settings.serial ?? `box-${++this.named}`;
		const dir = join(this.dir, name);
		const { quota = "4 GiB", maxPeers, tcp, takeover = "5 s" } = this.options;
		const { host = LOOPBACK } = this.options;
		const id = await issueBox(this.operator, {
			serial: name,
			dir,
			data: "data",
			swarmHost: host,
			swarmPort: 0,
			reach: "direct",
			// Many boxes share this machine, which is always short of something.
			...{ quota, takeover, pressure: 0 },
			gatewayPort: 0,
			// People open the player page of a box on the desk, and no foreign program runs beside it.
			playerToken: false,
			socket: join(dir, "agent.sock"),
			...(maxPeers !== undefined && { maxPeers }),
			...(tcp !== undefined && { tcp }),
			...settings,
		});
		const box: DeskBox = { id, name, dir, within, process: undefined };
		this.boxes.push(box);
		this.observer.follow(id);
		await this.startBox(box);
		return box;
	}

	async startBox(box: DeskBox): Promise<void> {
		const args = ["agent", "-c", join(box.dir, "larder.toml")];
		box.process = await this.crew.start(box.name, "box", args, box.within);
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

	/** Resolves when the box lists the title to viewers. Throws TITLE_UNKNOWN when its catalog does not bring it. */
	async listed(box: DeskBox, id: TitleId, signal: AbortSignal): Promise<void> {
		const end = Date.now() + CATALOG_LIMIT;
		while (Date.now() < end) {
			const answer = await fetch(`${this.gatewayOf(box)}/titles`, { signal });
			const titles = (await answer.json()) as { id: TitleId }[];
			if (titles.some((title) => title.id === id)) return;
			await sleep(CATALOG_POLL, signal);
		}
		throw new LarderError(
			"TITLE_UNKNOWN",
			`${box.name} does not list the title after ${CATALOG_LIMIT / SECOND} s`,
		);
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
	levels() {
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
	close(): Promise<void> {
		this.closing ??= this.end();
		return this.closing;
	}

	private async end(): Promise<void> {
		const { headend, origin, broker, dhtNodes } = this;
		const below = [origin, broker, ...dhtNodes];
		await this.crew.stopAllBut([headend, ...below]);
		await this.crew.stopAllBut(below);
		if (this.options.broker !== undefined)
			await this.observer.forget(this.operator.region);
		await this.observer.close();
		await this.crew.stopAllBut([]);
	}

	private async startServices(): Promise<void> {
		const { origin } = this.options;
		const starts = await Promise.allSettled([
			!runsAlready(this.options) && this.startBroker(),
			this.startDht(),
			origin !== false && this.startOrigin(),
		]);
		for (const start of starts)
			if (start.status === "rejected") throw start.reason;
		// Last: it counts on all of them.
		await this.startHeadend();
	}

	private async startDht(): Promise<void> {
		const joined: string[] = [];
		const nodes = this.operator.config.swarm.bootstrap;
		for (const [index, node] of nodes.entries()) {
			const [host = "", port = ""] = node.split(":");
			const args = ["bootstrap", "--host", host, "--port", port, ...joined];
			const name = `dht-${index + 1}`;
			this.dhtNodes.push(await this.crew.start(name, "box", args));
			joined.push("--join", node);
		}
	}
}

function runsAlready({ broker, prepared }: NeighbourhoodOptions): boolean {
	return broker !== undefined || prepared !== undefined;
}
