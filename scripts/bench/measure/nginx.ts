import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface Nginx {
	readonly pid: number;
	close(): Promise<void>;
}

/**
 * nginx over a folder, with sendfile. It is one process, so that all its work is seen in one place.
 * @param work a folder of its own @param listen `address:port` @param through a command that it is run by, on a machine of its own
 */
export async function startNginx(
	work: string,
	root: string,
	listen: string,
	through: readonly string[] = [],
): Promise<Nginx> {
	await mkdir(work, { recursive: true });
	const config = join(work, "nginx.conf");
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
		(name) => `${name}_temp_path ${work}/${name};`,
	);
	await writeFile(
		config,
		`daemon off;
master_process off;
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
	const [command = "", ...words] = [...through, ...nginx];
	const child = spawn(command, words, { stdio: ["ignore", "ignore", "pipe"] });
	const ended = once(child, "close");
	const said: string[] = [];
	for await (const line of createInterface(child.stderr)) {
		said.push(line);
		// Its sockets are bound before it tells of the system.
		if (!line.includes("OS: ")) continue;
		child.stderr.resume();
		return {
			pid: child.pid ?? 0,
			close: async () => {
				child.kill("SIGTERM");
				await ended;
			},
		};
	}
	throw new Error(`nginx did not start: ${said.join("\n")}`);
}
