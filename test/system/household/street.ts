// A street of homes for one test, in a network of its own: each home has an uplink with a deep queue, as of a cable modem. All of it
// goes with the process that made it, however that ends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Test } from "tap";
import { run } from "../../../scripts/run.ts";
import { monotonic } from "../../../src/base/time.ts";
import type { Bytes, Millis } from "../../../src/base/units.ts";
import { openDoor } from "./door.ts";

/** Where all that is the operator's runs, and the test. */
export const CENTRE = "10.77.0.1";

export interface Home {
	readonly address: string;
	/** Runs what follows it there. */
	readonly within: readonly string[];
	/** Opens a door there to a port on the centre's loopback; it is no part of the uplink. @param path for a socket */
	offer(port: number, path: string): Promise<void>;
	/** From now on its uplink has this rate and this queue, as tc takes them. */
	cap(rate: string, queue: string): Promise<void>;
	/** Bytes that have left its uplink, as the street has seen them come. */
	sent(): Bytes;
}

/** Makes the network that this process is in a street. To be called by a process that is in one of its own. */
export async function openStreet(): Promise<void> {
	await run("ip", ["link", "set", "lo", "up"]);
	await run("ip", ["link", "add", "street", "type", "bridge"]);
	await run("ip", ["addr", "add", `${CENTRE}/24`, "dev", "street"]);
	await run("ip", ["link", "set", "street", "up"]);
}

export async function addHome(t: Test, number: number): Promise<Home> {
	const home = await enclose(t);
	const modem = await enclose(t);
	const port = `home${number}`;
	const address = `10.77.0.${10 + number}`;
	const link = (name: string, netns: string, ...peer: string[]) => [
		...["ip", "link", "add", name, "netns", netns],
		...["type", "veth", "peer", "name", ...peer],
	];
	// The queue lies in the modem: in the box's own network the kernel would hold back what fills it.
	await run(
		"ip",
		link(port, `${process.pid}`, "wan", "netns", modem.pid).slice(1),
	);
	await run("ip", link("lan", modem.pid, "eth0", "netns", home.pid).slice(1));
	await modem.run("ip", "link", "add", "through", "type", "bridge");
	for (const name of ["lan", "wan"])
		await modem.run("ip", "link", "set", name, "master", "through", "up");
	await modem.run("ip", "link", "set", "through", "up");
	await run("ip", ["link", "set", port, "master", "street", "up"]);
	await home.run("ip", "link", "set", "lo", "up");
	await home.run("ip", "addr", "add", `${address}/24`, "dev", "eth0");
	await home.run("ip", "link", "set", "eth0", "up");
	const { within } = home;
	const cap = async (rate: string, queue: string) => {
		const tbf = ["tbf", "rate", rate, "burst", "16kb", "limit", queue];
		await modem.run("tc", "qdisc", "replace", "dev", "wan", "root", ...tbf);
	};
	const offer = async (port: number, path: string) => {
		const server = await openDoor(path, port);
		const [command = "", ...rest] = within;
		const door = join(import.meta.dirname, "door.ts");
		const args = [...rest, process.execPath, door, `${port}`, path];
		const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
		t.teardown(() => {
			child.kill("SIGKILL");
			server.close();
		});
		await once(child.stdout, "data");
	};
	return { address, within, offer, cap, sent: () => received(port) };
}

/** A network of its own, which ends when this process does. */
async function enclose(t: Test) {
	const holder = spawn("unshare", ["--net", "cat"], {
		stdio: ["pipe", "ignore", "inherit"],
	});
	t.teardown(() => holder.kill("SIGKILL"));
	await once(holder, "spawn");
	await entered(holder);
	const within = ["nsenter", `--net=/proc/${holder.pid}/ns/net`];
	const [command = "", ...rest] = within;
	return {
		within,
		pid: `${holder.pid}`,
		run: (...args: string[]) => run(command, [...rest, ...args]),
	};
}

/** Until it has its own network, it is in this one. */
async function entered(holder: ChildProcess): Promise<void> {
	const own = readlinkSync("/proc/self/ns/net");
	while (readlinkSync(`/proc/${holder.pid}/ns/net`) === own)
		await new Promise(setImmediate);
}

/** Bytes that have come in by an interface. */
function received(name: string): Bytes {
	const table = readFileSync("/proc/self/net/dev", "utf8");
	const row = table
		.split("\n")
		.find((line) => line.trim().startsWith(`${name}:`));
	const bytes = row?.split(":")[1]?.trim().split(/\s+/)[0];
	if (bytes === undefined) throw new Error(`no interface ${name}`);
	return Number(bytes);
}

interface Sample {
	readonly at: Millis;
	readonly sent: Bytes;
}

/** What leaves a home's uplink, as it goes. */
export class UplinkMeter {
	private readonly samples: Sample[] = [];
	private readonly timer: NodeJS.Timeout;

	constructor(t: Test, home: Home) {
		const look = () =>
			this.samples.push({ at: monotonic(), sent: home.sent() });
		look();
		this.timer = setInterval(look, 20);
		t.teardown(() => clearInterval(this.timer));
	}

	/** Bytes that left between two moments. */
	between(from: Millis, to: Millis): Bytes {
		return this.at(to) - this.at(from);
	}

	/** Bytes a second over the last so many milliseconds. */
	rate(span: Millis): number {
		const now = monotonic();
		return (this.between(now - span, now) / span) * 1000;
	}

	private at(moment: Millis): Bytes {
		const sample = this.samples.findLast(({ at }) => at <= moment);
		return (sample ?? this.samples[0])?.sent ?? 0;
	}
}
