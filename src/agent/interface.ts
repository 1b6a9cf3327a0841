import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { setTimeout as wait } from "node:timers/promises";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Check } from "../wire/ipc.ts";
import type { Config } from "./config.ts";
import { finding } from "./finding.ts";

const ROUND: Millis = SECOND;
/** At boot networks come up a little later than the agent. */
const PATIENCE: Millis = 10 * SECOND;
/** Where the swarm is bound while its interface has no address: it meets nobody, and what is on the disk plays. */
const ALONE = "127.0.0.1";

/** The first IPv4 address of an interface; undefined while it has none. */
export type AddressOf = (name: string) => string | undefined;

export const addressOf: AddressOf = (name) =>
	networkInterfaces()[name]?.find(({ family }) => family === "IPv4")?.address;

/**
 * The configuration with the address that the swarm binds, where it names an interface. Waits a little for one that has no
 * address yet. Throws CONFIG_INVALID when this machine has no such interface.
 */
export async function boundTo(
	config: Config,
	log: Log,
	{ find = addressOf, patience = PATIENCE } = {},
): Promise<Config> {
	const { interface: name } = config.swarm;
	if (name === undefined) return config;
	let host = find(name);
	if (host === undefined) await mustExist(name);
	const end = monotonic() + patience;
	while (host === undefined && monotonic() < end) {
		await wait(Math.min(ROUND, patience));
		host = find(name);
	}
	if (host === undefined)
		log.warn({ interface: name }, "no address yet: the box is alone");
	return { ...config, swarm: { ...config.swarm, host: host ?? ALONE } };
}

/** Throws CONFIG_INVALID. One that is down or has no address is there, too. */
async function mustExist(name: string): Promise<void> {
	const table = await readFile("/proc/self/net/dev", "utf8");
	const names = [...table.matchAll(/^ *(\S+):/gm)].map(([, each]) => each);
	if (names.includes(name)) return;
	const others = names.join(", ") || "none";
	throw new LarderError(
		"CONFIG_INVALID",
		`swarm.interface: this machine has no ${name}; there are ${others}`,
	);
}

/** Whether the configured interface has an address, and the swarm is there. None where none is configured. */
export function checkInterface(
	{ interface: name, host }: Config["swarm"],
	find = addressOf,
): Check[] {
	if (name === undefined) return [];
	const address = find(name);
	const check = (level: Check["level"], text: string, remedy?: string) => [
		finding("interface", level, text, remedy),
	];
	if (address === undefined)
		return check(
			"fail",
			`${name} has no IPv4 address: no neighbour can be met`,
			"Connect it, or name another in swarm.interface. The agent takes up an address by itself.",
		);
	if (address === host)
		return check("ok", `the swarm is at ${host} of ${name}`);
	return check(
		"ok",
		`${name} has ${address}, where an agent that starts binds`,
	);
}

export interface InterfaceWatchOptions {
	readonly swarm: Config["swarm"];
	/** Whether another start would be held against what runs now. */
	readonly isOnTrial: () => Promise<boolean>;
	/** Ends the agent, to be started again. */
	readonly restart: () => void;
	readonly log: Log;
	readonly find?: AddressOf;
}

/** Has the agent started anew when its interface has another address than the one that is bound, for two looks in a row. */
export class InterfaceWatch {
	private readonly options: InterfaceWatchOptions;
	private readonly timer: NodeJS.Timeout | undefined;
	private seen: string | undefined;
	private restarted = false;

	constructor(options: InterfaceWatchOptions) {
		this.options = options;
		if (options.swarm.interface !== undefined)
			this.timer = setInterval(() => void this.look(), ROUND).unref();
	}

	/** Never rejects. An address that is gone may come back: its sockets are good then. */
	async look(): Promise<void> {
		const { swarm, isOnTrial, restart, log, find = addressOf } = this.options;
		const { interface: name, host } = swarm;
		if (name === undefined || this.restarted) return;
		const before = this.seen;
		this.seen = find(name);
		const isOther = this.seen !== undefined && this.seen !== host;
		if (!isOther || this.seen !== before) return;
		if ((await isOnTrial()) || this.restarted) return;
		this.restarted = true;
		log.info({ interface: name, host: this.seen }, "another address: starting");
		restart();
	}

	close(): void {
		clearInterval(this.timer);
	}
}
