import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { SECOND } from "../../../src/base/time.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import { run as command } from "../../run.ts";
import { Child } from "../measure/child.ts";
import { MemoryWatch, writtenBy } from "../measure/process.ts";
import type { Contestant, Mark, Outcome, Stage } from "./contestant.ts";

/** Debian's own Python is the one that Debian's libtorrent is built for. */
export const PYTHON = "/usr/bin/python3";
const SCRIPT = join(import.meta.dirname, "torrent.py");

type Encryption = "rc4" | "none";

/** libtorrent with its defaults but for what would reach beyond loopback, and uTP. */
export function torrent(encryption: Encryption): Contestant {
	const protection =
		encryption === "rc4" ? "RC4 forced on" : "no encryption at all";
	return {
		name: encryption === "rc4" ? "libtorrent, RC4" : "libtorrent, plain",
		about: `over TCP, ${protection}; pieces are verified; synced by an fsync at the end`,
		run: (stage, signal) => run(encryption, stage, signal),
	};
}

async function run(
	encryption: Encryption,
	{ dir, content }: Stage,
	signal: AbortSignal,
): Promise<Outcome> {
	const source = dirname(content.file);
	const file = join(source, "content.torrent");
	if (!existsSync(file))
		await command(PYTHON, [SCRIPT, "make", content.file, file]);
	const received = join(dir, "received");
	await mkdir(received);
	const start = (name: string, args: readonly string[]) =>
		new Child(`libtorrent ${name}`, PYTHON, [SCRIPT, name, file, ...args]);
	const port = await freeTcpPort();
	const sender = start("seed", [source, `${port}`, encryption]);
	const children = [sender];
	let memory: MemoryWatch | undefined;
	try {
		await sender.said("ready", signal);
		const peer = [`${port}`, `${sender.pid}`];
		const own = `${await freeTcpPort()}`;
		const receiver = start("get", [received, own, encryption, ...peer]);
		children.push(receiver);
		await receiver.said("ready", signal);
		memory = new MemoryWatch([sender.pid, receiver.pid], SECOND / 4);
		receiver.tell({ do: "get" });
		const mark = async (event: string) =>
			(await receiver.said(event, signal))["mark"] as Mark;
		const first = await mark("first");
		const done = await mark("done");
		const synced = await mark("synced");
		const { rc4 } = await receiver.said("peer", signal);
		if (JSON.stringify(rc4) !== JSON.stringify([encryption === "rc4"]))
			throw new Error(`libtorrent did not keep to ${encryption}: ${rc4}`);
		for (const { pid } of children) memory.look(pid);
		return {
			course: {
				first,
				done,
				synced,
				memory: {
					sender: memory.peak(sender.pid),
					receiver: memory.peak(receiver.pid),
				},
				written: writtenBy(receiver.pid),
			},
			pieces: [
				{ path: join(received, basename(content.file)), bytes: content.size },
			],
		};
	} finally {
		memory?.close();
		await Promise.all(children.map((child) => child.close()));
	}
}
