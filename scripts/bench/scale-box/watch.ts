import { request } from "node:http";
import { SECOND } from "../../../src/base/time.ts";
import { type Bytes, MiB, type Millis } from "../../../src/base/units.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import { metrics, type Status, status } from "../../../src/wire/ipc.ts";
import { parseValue } from "../../../src/wire/json.ts";
import { clock, cpuOf, memoryOf, ussOf } from "../measure/process.ts";

/** What an agent took in a while. */
export interface Span {
	readonly what: string;
	readonly span: Millis;
	readonly cpu: Millis;
	readonly pss: Bytes;
	readonly uss: Bytes;
	readonly anonymous: Bytes;
	readonly heap: Bytes;
	/** How late timers of its event loop were, a bit of which is the measure's own. */
	readonly lagP99: Millis;
	readonly lagMax: Millis;
}

/** An agent that is looked at from outside, as an operator may: /proc, and its own metrics over IPC. */
export class Watch {
	private readonly pid: number;
	private readonly socket: string;
	private from = { at: clock(), cpu: 0 };

	constructor(pid: number, socket: string) {
		this.pid = pid;
		this.socket = socket;
	}

	/** What is taken counts from now on. */
	async begin(): Promise<void> {
		await this.figures();
		this.from = { at: clock(), cpu: cpuOf(this.pid) };
	}

	/** Since the last `begin`. */
	async end(what: string): Promise<Span> {
		const memory = memoryOf(this.pid);
		if (memory === undefined) throw new Error("the agent ended");
		const cpu = cpuOf(this.pid) - this.from.cpu;
		const span = clock() - this.from.at;
		const figure = await this.figures();
		return {
			...{ what, span, cpu, ...memory, uss: ussOf(this.pid) },
			heap: figure("nodejs_heap_size_used_bytes"),
			lagP99: figure("nodejs_eventloop_lag_p99_seconds") * SECOND,
			lagMax: figure("nodejs_eventloop_lag_max_seconds") * SECOND,
		};
	}

	async status(): Promise<Status> {
		const answer = await callIpc(this.socket, "status", 30 * SECOND);
		const read = parseValue(status, answer);
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	}

	/** Reading them begins the next measure of the lag. */
	private async figures(): Promise<(name: string) => number> {
		const answer = await callIpc(this.socket, "metrics", 30 * SECOND);
		const read = parseValue(metrics, answer);
		if (!read.ok) throw new Error(read.detail);
		const { text } = read.value;
		return (name) =>
			Number(new RegExp(`^${name} (\\S+)`, "m").exec(text)?.[1] ?? Number.NaN);
	}
}

/** Asks a player's question again and again, and keeps how long the first byte took. */
export class Player {
	private readonly url: URL;
	private readonly times: Millis[] = [];
	private readonly stop = new AbortController();
	private running: Promise<void> | undefined;
	/** Of its file, all of which the box holds. */
	private readonly held: Bytes;

	constructor(url: URL, held: Bytes) {
		this.url = url;
		this.held = held;
	}

	begin(every: Millis): void {
		this.running = this.play(every);
	}

	/** Times to the first byte, in order. */
	async end(): Promise<readonly Millis[]> {
		this.stop.abort();
		await this.running;
		return this.times;
	}

	/** Rejects as the gateway fails. */
	async once(at: Bytes): Promise<Millis> {
		const began = clock();
		const range = `bytes=${at}-${at + MiB - 1}`;
		const { promise, resolve, reject } = Promise.withResolvers<Millis>();
		request(this.url, { headers: { range } }, (response) => {
			if (response.statusCode !== 206)
				reject(new Error(`the gateway answered ${response.statusCode}`));
			let first: Millis | undefined;
			response.on("data", () => {
				first ??= clock() - began;
			});
			response.on("end", () => resolve(first ?? Number.NaN));
			response.on("error", reject);
		})
			.on("error", reject)
			.end();
		return await promise;
	}

	private async play(every: Millis): Promise<void> {
		for (let at = 0; !this.stop.signal.aborted; at = (at + MiB) % this.held) {
			this.times.push(await this.once(at));
			await new Promise((resolve) => setTimeout(resolve, every));
		}
	}
}
