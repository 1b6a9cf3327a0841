import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import type { Test } from "tap";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import {
	initOperator,
	type Operator,
} from "../../../src/headend/operator/operator.ts";
import { certifyBox } from "../../../src/headend/tls/authority.ts";
import {
	type BrokerFolder,
	writeBroker,
} from "../../../src/headend/tls/broker.ts";
import { type Papers, readPapers } from "../../../src/headend/tls/keys.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { generateKeyPair, privateKeyPem } from "../../../src/wire/keys.ts";
import { Happenings, REGION } from "../../control/operator.ts";
import { days } from "./papers.ts";

/** An operator with its papers, and the broker's folder that goes with it. */
export interface Scene {
	readonly operator: Operator;
	readonly papers: Papers;
	readonly folder: BrokerFolder;
	readonly ports: Readonly<
		Record<"port" | "enrolPort" | "enrolHeadendPort", number>
	>;
}

/** A box as a broker sees it. */
export interface Shown {
	readonly box: BoxId;
	readonly cert: string;
	readonly key: string;
}

export async function newScene(t: Test): Promise<Scene> {
	const ports = {
		port: await freeTcpPort(),
		enrolPort: await freeTcpPort(),
		enrolHeadendPort: await freeTcpPort(),
	};
	const operator = await initOperator(join(t.testdir(), "operator"), {
		region: REGION,
		brokerUrl: `mqtts://127.0.0.1:${ports.port}`,
	});
	const settings = { ...ports, user: "mosquitto", hosts: [] };
	const folder = await writeBroker(operator, settings);
	return { operator, papers: await readPapers(operator), folder, ports };
}

/** Starts Mosquitto with a configuration as it is shipped. */
export async function startMosquitto(
	t: Test,
	{ folder }: Scene,
	config = "mosquitto.conf",
) {
	const child = spawn("mosquitto", ["-c", join(folder.dir, config)], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	t.teardown(async () => {
		if (child.exitCode !== null) return;
		const ended = once(child, "exit");
		child.kill();
		await ended;
	});
	const lines = new Happenings<string>();
	createInterface({ input: child.stderr }).on("line", lines.add);
	child.on("exit", (code) => lines.add(`ended with ${code}`));
	const line = await lines.until((it) => / running$|^ended/.test(it));
	if (line.startsWith("ended")) throw new Error(lines.all.join("\n"));
	return {
		/** Has it read its files again. */
		async reload() {
			const from = lines.all.length;
			child.kill("SIGHUP");
			await lines.until((it) => it.includes("Reloading config"), from);
		},
	};
}

export async function newClient(
	{ authority }: Pick<Papers, "authority">,
	dates = days(-1, 30),
): Promise<Shown> {
	const pair = generateKeyPair();
	const box = pair.publicKey.toString("hex") as BoxId;
	const cert = await certifyBox(authority, box, dates);
	return { box, cert, key: privateKeyPem(pair) };
}

/** A client with all that ever came to it: `<topic> <payload>`. */
export type Client = MqttClient & { readonly got: Happenings<string> };

/** Connects as `shown`, or without a certificate; rejects when the broker does not let it in. */
export async function enter(
	t: Test,
	{ papers, ports }: Scene,
	shown: Shown | undefined,
	options: IClientOptions = {},
	port = ports.port,
): Promise<Client> {
	const client = connect(`mqtts://127.0.0.1:${port}`, {
		...{ ca: papers.ca, protocolVersion: 5, reconnectPeriod: 0 },
		...(shown && { cert: shown.cert, key: shown.key, clientId: shown.box }),
		...options,
	});
	t.teardown(() => client.endAsync(true));
	const got = new Happenings<string>();
	client.on("message", (topic, payload) => got.add(`${topic} ${payload}`));
	await new Promise<void>((resolve, reject) => {
		client.once("connect", () => resolve());
		client.on("error", reject);
		client.once("close", () => reject(new Error("closed")));
	});
	return Object.assign(client, { got });
}
