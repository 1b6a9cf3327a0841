import { watch } from "node:fs";
import {
	cp,
	link,
	mkdir,
	readFile,
	rm,
	utimes,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import type { Test } from "tap";
import { run } from "../../../scripts/run.ts";
import { NODE_FLAGS } from "../../../src/agent/runtime.ts";
import { freeOn } from "../../../src/agent/space.ts";
import { SECOND } from "../../../src/base/time.ts";
import { type Bytes, MiB } from "../../../src/base/units.ts";
import type { Neighbourhood } from "../../../src/desk/neighbourhood.ts";
import { DeskProcess, type Exit } from "../../../src/desk/process.ts";
import {
	type BoxSettings,
	boxConfig,
} from "../../../src/headend/operator/boxconfig.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import { stepOf } from "../../../src/plan/capacity.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { type Status, status } from "../../../src/wire/ipc.ts";
import { parseValue } from "../../../src/wire/json.ts";
import {
	type Film,
	larder,
	openDesk,
	publishFilm,
	temporary,
} from "../desk.ts";
import { ext4 } from "../disk/mounts.ts";
import { type Leave, type Life, readyAfter } from "./life.ts";
import { Orders } from "./orders.ts";
import { Asked, type Giver, openGiver, openOrigin } from "./sources.ts";
import type { Trap } from "./trap.ts";

const DISK: Bytes = 128 * MiB;
const FILM: Bytes = 6 * MiB;
const RESERVE: Bytes = 16 * MiB;
/** Room for all, and for half. */
export const AMPLE: Bytes = 24 * MiB;
export const SCANT: Bytes = 6 * MiB;
/** Of either, for what is not placed. */
const SHARE = 0.05;
/** Lines of the log that are shown when something is wrong. */
const WORDS = 40;
const TRAP = new URL("./trap.ts", import.meta.url).href;
const BUNDLE = join(
	import.meta.dirname,
	`../../../dist/agent/linux-${process.arch}/larder.mjs`,
);

/**
 * A box on a disk of its own in a neighbourhood of real processes, whose agent is killed again and again, and which keeps its data
 * folder all the time; two films that are placed on it, an origin and a neighbour that note what it asks for.
 */
export class Rig {
	readonly desk: Neighbourhood;
	readonly asked: Asked;
	readonly giver: Giver;
	readonly orders: Orders;
	readonly box: BoxId;
	readonly dir: string;
	/** Entries of the agent's log that were looked at. */
	private read = 0;
	private readonly mount: string;

	private constructor(
		desk: Neighbourhood,
		asked: Asked,
		giver: Giver,
		orders: Orders,
		box: BoxId,
		mount: string,
	) {
		this.desk = desk;
		this.asked = asked;
		this.giver = giver;
		this.orders = orders;
		this.box = box;
		this.mount = mount;
		this.dir = join(mount, "box");
	}

	static async open(t: Test): Promise<Rig> {
		const { dir: mount } = await ext4(t, DISK);
		const dir = join(await temporary(t), "desk");
		const asked = new Asked();
		const files = join(dir, "operator", "origin");
		const originUrl = await openOrigin(t, files, asked);
		const desk = await openDesk(t, {
			...{ dir, copies: 1, origin: false, originUrl },
		});
		for (const name of ["one", "other"])
			asked.films.push(await publishFilm(desk, FILM, name));
		const giver = await openGiver(t, desk, asked);
		const box = await issueBox(desk.operator, {
			...{ serial: "victim", dir: join(mount, "box") },
		});
		desk.observer.follow(box);
		const orders = await Orders.open(t, desk, box, asked.films);
		return new Rig(desk, asked, giver, orders, box, mount);
	}

	get films(): readonly Film[] {
		return this.asked.films;
	}

	/** What it may have when it is not placed. */
	get share(): Bytes {
		return SHARE * AMPLE;
	}

	/** All that is to be held. */
	get shards(): number {
		return this.films.reduce((sum, { shards }) => sum + shards, 0);
	}

	get data(): string {
		return join(this.dir, "data");
	}

	/** Where the box's inbox has a shard of a film. */
	inbox(film: Film, shard?: number): string {
		const folder = join(this.data, "inbox", film.id);
		return shard === undefined ? folder : join(folder, `${shard}`);
	}

	private get socket(): string {
		return join(this.dir, "agent.sock");
	}

	private get logFile(): string {
		return join(this.desk.dir, "logs", "victim.log");
	}

	/** Starts the agent. */
	async start(leave: Leave, trap?: Trap): Promise<Life> {
		await this.configure(leave);
		const config = join(this.dir, "larder.toml");
		const env = [
			`NODE_OPTIONS=--import=${TRAP}`,
			`LARDER_TRAP=${JSON.stringify(trap)}`,
		];
		const within = trap === undefined ? [] : ["env", ...env];
		const began = Date.now();
		const args = [...NODE_FLAGS, BUNDLE, "agent", "-c", config];
		const process = new DeskProcess("victim", args, this.logFile, within);
		const ready = readyAfter(process, began);
		// A connection is made sooner when both look.
		void ready.then(() => this.giver.meet(this.box));
		return { process, began, ready };
	}

	/** Ends a life as a power switch does. How it ended, which may have been before. */
	async kill({ process }: Life): Promise<Exit> {
		const exit = await process.stop("SIGKILL");
		this.giver.part(this.box);
		return exit;
	}

	async status(): Promise<Status> {
		const said = await callIpc(this.socket, "status", 5 * SECOND);
		const read = parseValue(status, said);
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	}

	/** What the agent wrote since this was last asked. */
	async log(): Promise<Record<string, unknown>[]> {
		const lines = (await readFile(this.logFile, "utf8")).split("\n");
		const fresh = lines.slice(this.read, -1);
		this.read += fresh.length;
		return fresh.map((line) => {
			// What the runtime itself says, or half a line of who was killed.
			return /^\{.*\}$/.test(line) ? JSON.parse(line) : { msg: line };
		});
	}

	/** The end of what it wrote. */
	async lastWords(): Promise<string[]> {
		const lines = (await readFile(this.logFile, "utf8")).split("\n");
		return lines.slice(-WORDS);
	}

	/** Another program takes so much of the disk that the store may have `capacity` of it, and no more. */
	async record(used: Bytes, capacity: Bytes): Promise<void> {
		const free = capacity + stepOf(AMPLE) + RESERVE - used;
		const bytes = (await freeOn(this.mount)) - free;
		await run("fallocate", ["-l", `${bytes}`, this.recording]);
	}

	/** It is deleted again. */
	async erase(): Promise<void> {
		await rm(this.recording, { force: true });
	}

	/** Writes all that the box holds to a stick, as its owner would. */
	async export(): Promise<void> {
		const config = join(this.dir, "larder.toml");
		for (const { id } of this.films) {
			const { code, said } = await larder(
				"export",
				id,
				this.stick,
				"-c",
				config,
			);
			if (code !== 0) throw new Error(said);
		}
	}

	/** Resolves when something of the shards comes, goes or changes; or is no longer waited for. */
	async change(signal: AbortSignal): Promise<void> {
		const first = Promise.withResolvers<void>();
		const watchers = this.films.map(({ id }) =>
			watch(join(this.data, "shards", id), () => first.resolve()),
		);
		signal.addEventListener("abort", () => first.resolve(), { once: true });
		await first.promise;
		for (const watcher of watchers) watcher.close();
	}

	/** Puts shards of the stick into the inbox: copied, or under a second name, which are taken in in two ways. */
	async bring(film: Film, shard: number, how: "copy" | "link"): Promise<void> {
		const from = join(this.stick, film.id);
		await mkdir(this.inbox(film), { recursive: true });
		const to = this.inbox(film, shard);
		await rm(to, { force: true });
		if (how === "copy") await cp(join(from, `${shard}`), to);
		else await link(join(from, `${shard}`), to);
		// What was just written may still be written to.
		await utimes(to, new Date(0), new Date(0));
		await cp(join(from, "manifest"), join(this.inbox(film), "manifest"));
	}

	private get stick(): string {
		return join(this.mount, "stick");
	}

	private get recording(): string {
		return join(this.mount, "recording.ts");
	}

	private async configure({ fills, quota = AMPLE, down = "0" }: Leave) {
		const { operator } = this.desk;
		const settings: BoxSettings = {
			...{ data: "data", swarmHost: "127.0.0.1", swarmPort: 0, gatewayPort: 0 },
			...{ reach: "direct", takeover: "5 s", pressure: 0, playerToken: false },
			...{ socket: this.socket, quota: `${quota} B`, reserve: `${RESERVE} B` },
			...{ streamingShare: SHARE, down },
			...(!fills && { windows: '[{ trunk = "none", neighbours = "none" }]' }),
		};
		const toml = boxConfig(operator.config, settings);
		await writeFile(join(this.dir, "larder.toml"), toml);
	}
}
