import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import type { Bytes } from "../../../src/base/units.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
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
	await using server = await startNginx(dir, dirname(content.file), port);
	const path = join(dir, "received");
	const url = `http://127.0.0.1:${port}/${basename(content.file)}`;
	const curl = spawn("curl", ["--silent", "--fail", "--output", path, url], {
		stdio: "ignore",
	});
	const ended = once(curl, "close");
	const pid = curl.pid ?? 0;
	// Until it is waited for, a process that has ended can still be asked: so this does not give way to the event loop.
	const watched = watch(pid, server.pid, path);
	const [code] = await ended;
	if (code !== 0) throw new Error(`curl ended with ${code}`);
	await using file = await open(path, "r+");
	await file.sync();
	const sender = memoryOf(server.pid) ?? watched.memory;
	const { done } = watched;
	return {
		course: {
			...watched,
			synced: { ...done, at: clock(), sender: cpuOf(server.pid) },
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

async function startNginx(dir: string, root: string, port: number) {
	const work = join(dir, "nginx");
	await mkdir(work);
	const config = join(work, "nginx.conf");
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
		(name) => `${name}_temp_path ${work}/${name};`,
	);
	// One process, so that all its work is seen in one place.
	await writeFile(
		config,
		`daemon off;
master_process off;
pid ${work}/nginx.pid;
error_log stderr notice;
events { worker_connections 16; }
http {
	access_log off;
	sendfile on;
	${temporary.join("\n\t")}
	server {
		listen 127.0.0.1:${port};
		root ${root};
	}
}
`,
	);
	const child = spawn("nginx", ["-e", "stderr", "-p", work, "-c", config], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const ended = once(child, "close");
	const said: string[] = [];
	for await (const line of createInterface(child.stderr)) {
		said.push(line);
		// Its sockets are bound before it tells of the system.
		if (!line.includes("OS: ")) continue;
		child.stderr.resume();
		return {
			pid: child.pid ?? 0,
			async [Symbol.asyncDispose]() {
				child.kill("SIGTERM");
				await ended;
			},
		};
	}
	throw new Error(`nginx did not start: ${said.join("\n")}`);
}
