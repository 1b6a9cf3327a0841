// A neighbourhood as an operator would run it: Mosquitto with the shipped configuration, TLS, and boxes that come from the factory.
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
	appendFile,
	chmod,
	copyFile,
	mkdir,
	readFile,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import { DAY } from "../../../src/base/time.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { freeTcpPort } from "../../../src/desk/ports.ts";
import { freeSettings, LOOPBACK } from "../../../src/desk/settings.ts";
import { boxConfig } from "../../../src/headend/operator/boxconfig.ts";
import {
	initOperator,
	type Operator,
	openOperator,
} from "../../../src/headend/operator/operator.ts";
import { certifyClient } from "../../../src/headend/tls/authority.ts";
import { writeBroker } from "../../../src/headend/tls/broker.ts";
import { readPapers } from "../../../src/headend/tls/keys.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { generateKeyPair, privateKeyPem } from "../../../src/wire/keys.ts";
import { Happenings } from "../../control/operator.ts";
import { larder, openDesk, temporary } from "../desk.ts";

export type SecureDesk = Awaited<ReturnType<typeof openSecureDesk>>;

/** Everything runs; there is a batch `spring` for these serials, whose boxes are let in without a person. */
export async function openSecureDesk(
	t: Test,
	copies: number,
	serials: readonly string[],
	host = LOOPBACK,
) {
	const root = await temporary(t);
	// Mosquitto is another user.
	await chmod(root, 0o755);
	const dir = join(root, "desk");
	await mkdir(dir);
	const operator = await makeOperator(dir, copies, host);
	const [main, enrol] = await startBrokers(t, operator);
	const access = await wayIn(operator, "desk");
	const desk = await openDesk(t, {
		...{ dir, copies, host },
		prepared: { operator, access },
	});
	const factory = await openFactory(t, desk, serials, serials, host);
	const speaker = await wayIn(operator, "speaker");
	return { desk, operator, main, enrol, speaker, ...factory };
}

/**
 * Boxes of a batch `spring` with claims of their own.
 * @param listed serials that are let in without a person
 */
export async function openFactory(
	t: Test,
	desk: Neighbourhood,
	serials: readonly string[],
	listed: readonly string[],
	host = LOOPBACK,
) {
	const { dir, operator } = desk;
	const at = ["-d", operator.dir];
	const made = join(dir, "serials.csv");
	const inventory = join(dir, "inventory.csv");
	const factory = join(dir, "factory");
	await writeFile(made, `${serials.join("\n")}\n`);
	await writeFile(inventory, `${listed.join("\n")}\n`);
	await order(t, "enrol", "batch", "add", "spring", ...at);
	const claims = ["--serials", made, "--out", factory];
	await order(t, "enrol", "claims", "spring", ...claims, ...at);
	await order(t, "enrol", "auto", "--inventory", inventory, ...at);

	/** The claim that the factory writes onto a box. */
	const claimOf = (serial: string) => join(factory, serial, "enrol.json");
	/** A box as it leaves the factory: a configuration and a claim, no key. */
	const flash = async (name: string, claim = name): Promise<DeskBox> => {
		const folder = join(dir, name);
		await mkdir(folder);
		await copyFile(claimOf(claim), join(folder, "enrol.json"));
		await chmod(join(folder, "enrol.json"), 0o600);
		const config = boxConfig(operator.config, {
			data: "data",
			swarmHost: host,
			swarmPort: 0,
			reach: "direct",
			quota: "4 GiB",
			takeover: "5 s",
			gatewayPort: 0,
			playerToken: false,
			socket: join(folder, "agent.sock"),
		});
		await writeFile(join(folder, "larder.toml"), config);
		return { id: "" as BoxId, name, dir: folder, process: undefined };
	};
	/** Switches it on; resolves once it has its identity and is ready. */
	const boot = async (box: DeskBox): Promise<DeskBox> => {
		await desk.startBox(box);
		// Its log names no id in full.
		const { box: id } = await desk.statusOf(box);
		const known = { ...box, id };
		desk.boxes.push(known);
		desk.observer.follow(id);
		return known;
	};
	return { flash, boot, claimOf };
}

async function makeOperator(
	dir: string,
	copies: number,
	host: string,
): Promise<Operator> {
	const ports = {
		main: await freeTcpPort(),
		box: await freeTcpPort(),
		headend: await freeTcpPort(),
	};
	const path = join(dir, "operator");
	await initOperator(path, {
		...(await freeSettings({ copies, host })),
		brokerUrl: `mqtts://${host}:${ports.main}`,
	});
	const config = join(path, "operator.toml");
	const reload = `reload = ["sh", "-c", "kill -HUP $(cat ${path}/broker/*.pid)"]`;
	const text = (await readFile(config, "utf8")).replace(
		"[broker]",
		`[broker]\n${reload}`,
	);
	const [box, headend] = [ports.box, ports.headend].map(
		(port) => `mqtts://${host}:${port}`,
	);
	await writeFile(
		config,
		`${text}\n[enrol]\nurl = "${box}"\nheadend_url = "${headend}"\n`,
	);
	const operator = await openOperator(path);
	const folder = await writeBroker(operator, {
		port: ports.main,
		enrolPort: ports.box,
		enrolHeadendPort: ports.headend,
		user: "mosquitto",
		hosts: [],
	});
	// For the desk, which listens as the headend does, and for a test that speaks as it does.
	const [desk, speaker] = ["desk", "speaker"].map((name) =>
		clientName(operator, name),
	);
	await appendFile(
		join(folder.dir, "acl"),
		`\nuser ${desk}\ntopic read larder/v1/#\nuser ${speaker}\ntopic readwrite larder/v1/#\n`,
	);
	return operator;
}

function clientName({ network }: Operator, name: string): string {
	return `headend-${network.slice(0, 16)}-${name}`;
}

async function wayIn(operator: Operator, name: string) {
	const { ca, authority } = await readPapers(operator);
	const pair = generateKeyPair();
	const cert = await certifyClient(authority, {
		name: clientName(operator, name),
		publicKey: pair.publicKey,
		notBefore: Date.now() - DAY,
		notAfter: Date.now() + DAY,
	});
	const { url } = operator.config.broker;
	return { url, tls: async () => ({ ca, cert, key: privateKeyPem(pair) }) };
}

export interface Mosquitto {
	readonly lines: Happenings<string>;
	stop(): Promise<void>;
}

async function startBrokers(t: Test, operator: Operator) {
	const folder = join(operator.dir, "broker");
	const start = async (config: string): Promise<Mosquitto> => {
		const child = spawn("mosquitto", ["-c", join(folder, config)], {
			stdio: ["ignore", "ignore", "pipe"],
		});
		const lines = new Happenings<string>();
		createInterface({ input: child.stderr }).on("line", lines.add);
		child.on("exit", (code) => lines.add(`ended with ${code}`));
		const stop = async () => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			const ended = once(child, "exit");
			child.kill();
			await ended;
		};
		t.teardown(stop);
		const line = await lines.until((it) => / running$|^ended/.test(it));
		if (line.startsWith("ended")) throw new Error(lines.all.join("\n"));
		await writeFile(join(folder, `${config}.pid`), `${child.pid}\n`);
		return { lines, stop };
	};
	return [
		await start("mosquitto.conf"),
		await start("mosquitto-enrol.conf"),
	] as const;
}

/** Runs a command of the operator's that must go well; gives what it said. */
export async function order(
	t: Test,
	...args: readonly string[]
): Promise<string> {
	const { code, said } = await larder(...args);
	if (code !== 0) t.fail(`larder ${args.join(" ")}: ${said}`);
	return said;
}
