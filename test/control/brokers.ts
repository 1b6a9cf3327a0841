import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { globSync } from "node:fs";
import { chmod, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { Aedes } from "aedes";
import { silent } from "../../src/base/log.ts";
import { freeTcpPort } from "../../src/desk/ports.ts";
import { startBroker } from "../../src/headend/control/broker.ts";
import type { CertificateFiles } from "../certificate.ts";

/** A broker that can be stopped and started again on its port. */
export interface TestBroker {
	readonly url: string;
	readonly port: number;
	/** Starts it; with `refuse` it answers every CONNECT with a refusal. */
	start(refuse?: boolean): Promise<void>;
	stop(): Promise<void>;
}

export const BROKERS: Readonly<Record<string, () => Promise<TestBroker>>> = {
	"embedded, MQTT 3.1.1": embedded,
	"Mosquitto, MQTT 5": () => mosquitto(),
};

const run = promisify(execFile);
const PLUGIN = "/usr/lib/*/mosquitto_dynamic_security.so";

/** Where a Mosquitto listens, and how it lets clients in. */
export interface Door {
	/** A free one unless set. */
	readonly port?: number;
	/** Whom it lets in; everybody unless set. */
	readonly login?: { readonly username: string; readonly password: string };
	/** It speaks TLS and nothing else. */
	readonly tls?: CertificateFiles;
	/** The text of its acl_file. That refuses no subscription: it only keeps messages from coming. */
	readonly acl?: string;
	/** Rules of its dynamic security plugin, which refuses subscriptions too. */
	readonly rules?: object;
}

async function embedded(): Promise<TestBroker> {
	const port = await freeTcpPort();
	let stop: () => Promise<void> = async () => undefined;
	return {
		url: `mqtt://127.0.0.1:${port}`,
		port,
		async start(refuse = false) {
			const broker = refuse
				? await refusing(port)
				: await startBroker({ host: "127.0.0.1", port, log: silent });
			stop = () => broker.close();
		},
		async stop() {
			await stop();
			stop = async () => undefined;
		},
	};
}

/** Speaks 3.1.1 and lets nobody in. */
async function refusing(port: number) {
	const aedes = await Aedes.createBroker({
		authenticate: (_client, _name, _password, done) => done(null, false),
	});
	const sockets = new Set<Socket>();
	const server = createServer((socket) => {
		sockets.add(socket);
		aedes.handle(socket);
	});
	server.listen(port, "127.0.0.1");
	await once(server, "listening");
	return {
		async close() {
			server.close();
			for (const socket of sockets) socket.destroy();
			await new Promise<void>((resolve) => aedes.close(resolve));
		},
	};
}

export async function mosquitto(door: Door = {}): Promise<TestBroker> {
	const { login, tls, acl, rules, port = await freeTcpPort() } = door;
	let child: ChildProcess | undefined;
	return {
		url: `${tls ? "mqtts" : "mqtt"}://127.0.0.1:${port}`,
		port,
		async start(refuse = false) {
			const folder = await mkdtemp(join(tmpdir(), "larder-mosquitto-"));
			const conf = join(folder, "mosquitto.conf");
			const lines = [
				`listener ${port} 127.0.0.1`,
				`allow_anonymous ${!refuse && login === undefined}`,
				...["log_dest stderr", "log_type all"],
			];
			const files: string[] = [];
			if (login !== undefined) {
				const file = join(folder, "passwords");
				const { username, password } = login;
				await run("mosquitto_passwd", ["-b", "-c", file, username, password]);
				files.push(file);
				lines.push(`password_file ${file}`);
			}
			if (tls !== undefined) {
				for (const [name, path] of Object.entries(tls)) {
					await copyFile(path, join(folder, name));
					files.push(join(folder, name));
				}
				lines.push(`certfile ${join(folder, "certificate")}`);
				lines.push(`keyfile ${join(folder, "key")}`);
			}
			if (acl !== undefined) {
				const file = join(folder, "acl");
				await writeFile(file, acl);
				files.push(file);
				lines.push(`acl_file ${file}`);
			}
			if (rules !== undefined) {
				const file = join(folder, "rules");
				await writeFile(file, JSON.stringify(rules));
				files.push(file);
				lines.push(`plugin ${globSync(PLUGIN)}`);
				lines.push(`plugin_opt_config_file ${file}`);
			}
			// It reads them when it is no longer root.
			await chmod(folder, 0o755);
			for (const file of files) await chmod(file, 0o644);
			await writeFile(conf, `${lines.join("\n")}\n`);
			const started = spawn("mosquitto", ["-c", conf], {
				stdio: ["ignore", "ignore", "pipe"],
			});
			child = started;
			const said = createInterface({ input: started.stderr });
			await new Promise<void>((resolve, reject) => {
				said.on("line", (line) => {
					if (line.includes(" running")) resolve();
				});
				started.on("error", reject);
				started.on("exit", (code) =>
					reject(new Error(`mosquitto ended with ${code}`)),
				);
			});
			await rm(folder, { recursive: true });
		},
		async stop() {
			if (child === undefined) return;
			const ended = once(child, "exit");
			child.kill();
			await ended;
			child = undefined;
		},
	};
}
