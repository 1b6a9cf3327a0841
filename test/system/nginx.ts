import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import { freeTcpPort } from "../../src/desk/ports.ts";
import { selfSigned } from "../certificate.ts";

/** Why nginx cannot be tested with here, or false. */
export function missing(): string | false {
	for (const [tool, flag] of [
		["nginx", "-v"],
		["openssl", "version"],
	] as const)
		if (spawnSync(tool, [flag]).error !== undefined)
			return `${tool} is not installed`;
	return false;
}

/** A real nginx over `origin`, in plain HTTP and in TLS with a certificate of its own; ends with the test. */
export async function startNginx(t: Test, work: string, origin: string) {
	const [plain, tls] = [await freeTcpPort(), await freeTcpPort()];
	const { certificate, key } = await selfSigned(work);
	const config = join(work, "nginx.conf");
	const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
		(name) => `${name}_temp_path ${work}/${name};`,
	);
	await writeFile(
		config,
		`daemon off;
worker_processes 1;
pid ${work}/nginx.pid;
error_log stderr notice;
${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 256; }
http {
	access_log off;
	sendfile on;
	${temporary.join("\n\t")}
	server {
		listen 127.0.0.1:${plain};
		listen 127.0.0.1:${tls} ssl;
		ssl_certificate ${certificate};
		ssl_certificate_key ${key};
		root ${origin};
		location ~ /\\. { return 404; }
	}
}
`,
	);
	const child = spawn("nginx", ["-e", "stderr", "-p", work, "-c", config], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const ended = once(child, "close");
	t.teardown(async () => {
		child.kill("SIGTERM");
		await ended;
	});
	const said: string[] = [];
	for await (const line of createInterface(child.stderr)) {
		said.push(line);
		// Its sockets are bound before it starts its first worker.
		if (line.includes("start worker process ")) {
			child.stderr.resume();
			return { plain, tls, certificate };
		}
	}
	throw new Error(`nginx did not start: ${said.join("\n")}`);
}
