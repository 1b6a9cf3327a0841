import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Node } from "./network.ts";

/** nginx over a folder, on one node. Gives back what ends it. `work` is a folder of its own. */
export async function serve(
	work: string,
	root: string,
	{ through }: Node,
	listen: string,
): Promise<() => Promise<void>> {
	await mkdir(work, { recursive: true });
	const config = join(work, "nginx.conf");
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
		(name) => `${name}_temp_path ${work}/${name};`,
	);
	await writeFile(
		config,
		`daemon off;
worker_processes 1;
user root;
pid ${work}/nginx.pid;
error_log stderr notice;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	${temporary.join("\n\t")}
	server { listen ${listen}; root ${root}; }
}
`,
	);
	const nginx = ["nginx", "-e", "stderr", "-p", work, "-c", config];
	const [enter = "", ...words] = [...through, ...nginx];
	const child = spawn(enter, words, { stdio: ["ignore", "ignore", "pipe"] });
	const ended = once(child, "close");
	for await (const line of createInterface(child.stderr)) {
		// Its sockets are bound before it starts its first worker.
		if (!line.includes("start worker process ")) continue;
		child.stderr.resume();
		return async () => {
			child.kill("SIGTERM");
			await ended;
		};
	}
	throw new Error("nginx did not start");
}
