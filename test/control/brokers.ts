import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Aedes } from "aedes";
import { silent } from "../../src/base/log.ts";
import { startBroker } from "../../src/headend/control/broker.ts";

/** A broker that can be stopped and started again on its port. */
export interface TestBroker {
	readonly url: string;
	/** Starts it; with `refuse` it answers every CONNECT with a refusal. */
	start(refuse?: boolean): Promise<void>;
	stop(): Promise<void>;
}

export const BROKERS: Readonly<Record<string, () => Promise<TestBroker>>> = {
	"embedded, MQTT 3.1.1": embedded,
	"Mosquitto, MQTT 5": mosquitto,
};

async function embedded(): Promise<TestBroker> {
	const port = await freePort();
	let stop: () => Promise<void> = async () => undefined;
	return {
		url: `mqtt://127.0.0.1:${port}`,
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

async function mosquitto(): Promise<TestBroker> {
	const port = await freePort();
	let child: ChildProcess | undefined;
	return {
		url: `mqtt://127.0.0.1:${port}`,
		async start(refuse = false) {
			const folder = await mkdtemp(join(tmpdir(), "larder-mosquitto-"));
			const conf = join(folder, "mosquitto.conf");
			await writeFile(
				conf,
				`listener ${port} 127.0.0.1\nallow_anonymous ${!refuse}\nlog_dest stderr\nlog_type all\n`,
			);
			const started = spawn("mosquitto", ["-c", conf], {
				stdio: ["ignore", "ignore", "pipe"],
			});
			child = started;
			const lines = createInterface({ input: started.stderr });
			await new Promise<void>((resolve, reject) => {
				lines.on("line", (line) => {
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

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const address = server.address();
	server.close();
	await once(server, "close");
	if (address === null || typeof address === "string")
		throw new Error("no port");
	return address.port;
}
