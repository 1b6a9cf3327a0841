import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Bytes } from "../../../src/base/units.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import { startNginx } from "../measure/nginx.ts";
import {
	clock,
	cpuOf,
	hasEnded,
	type Memory,
	memoryOf,
	writtenBy,
} from "../measure/process.ts";
import {
	type Contestant,
	type Mark,
	markNow,
	type Outcome,
	type Stage,
} from "./contestant.ts";

/** How often curl is looked at: it cannot tell anything itself. */
const LOOK = 2;
/** Every so many looks its memory is looked at, too. */
const MEMORY_LOOKS = 25;

/** nginx and curl: plain HTTP, nothing encrypted, nothing verified. What the kernel and the disk can do. */
export const web: Contestant = {
	name: "nginx + curl",
	about: "plain HTTP, nothing encrypted or verified; synced at the end",
	run,
};

async function run({ dir, content }: Stage): Promise<Outcome> {
	const port = await freeTcpPort();
	const listen = `127.0.0.1:${port}`;
	const root = dirname(content.file);
	const server = await startNginx(join(dir, "nginx"), root, listen);
	try {
		return await fetchFrom(server.pid, listen, dir, content);
	} finally {
		await server.close();
	}
}

async function fetchFrom(
	server: number,
	listen: string,
	dir: string,
	content: Stage["content"],
): Promise<Outcome> {
	const path = join(dir, "received");
	const url = `http://${listen}/${basename(content.file)}`;
	const curl = spawn("curl", ["--silent", "--fail", "--output", path, url], {
		stdio: "ignore",
	});
	const ended = once(curl, "close");
	const pid = curl.pid ?? 0;
	// Until it is waited for, a process that has ended can still be asked: so this does not give way to the event loop.
	const watched = watch(pid, server, path);
	const [code] = await ended;
	if (code !== 0) throw new Error(`curl ended with ${code}`);
	await using file = await open(path, "r+");
	await file.sync();
	const sender = memoryOf(server) ?? watched.memory;
	const { done } = watched;
	return {
		course: {
			...watched,
			synced: { ...done, at: clock(), sender: cpuOf(server) },
			memory: { sender, receiver: watched.memory },
		},
		pieces: [{ path, bytes: content.size }],
	};
}

/** Follows curl from its first byte to its end, without ever yielding. */
function watch(
	pid: number,
	server: number,
	path: string,
): { first: Mark; done: Mark; memory: Memory; written: Bytes } {
	const pause = new Int32Array(new SharedArrayBuffer(4));
	let first: Mark | undefined;
	let memory: Memory = { pss: 0, anonymous: 0 };
	for (let look = 0; !hasEnded(pid); look++) {
		if (first === undefined && sizeOf(path) > 0) {
			first = markNow(clock(), server, pid);
		}
		if (look % MEMORY_LOOKS === 0) {
			const now = memoryOf(pid);
			if (now !== undefined && now.pss > memory.pss) memory = now;
		}
		Atomics.wait(pause, 0, 0, LOOK);
	}
	const done = markNow(clock(), server, pid);
	return { first: first ?? done, done, memory, written: writtenBy(pid) };
}

function sizeOf(path: string): Bytes {
	return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
