import { Argument, type Command } from "commander";
import { loadConfig } from "../agent/config.ts";
import { prove } from "../agent/update/prove.ts";
import { Releases } from "../agent/update/releases.ts";
import { LarderError } from "../base/errors.ts";
import { createLog } from "../base/log.ts";
import { Recent } from "../base/recent.ts";
import { parseSpan } from "../base/time.ts";
import type { PowerState } from "../wire/ipc.ts";
import { metricsCommand, playerTokenCommand, powerCommand } from "./ask.ts";
import { type AskOptions, askCommand, CONFIG, socketOf } from "./asking.ts";
import { doctorCommand } from "./doctor.ts";
import { exportCommand } from "./export.ts";
import { addHouseholdCommands } from "./householdcommands.ts";
import { runService } from "./program.ts";
import { resetCommand } from "./reset.ts";
import { statusCommand } from "./status.ts";
import { type AskBox, addSupportCommand } from "./support.ts";

/** What an agent ends with that is to be started again at once: larder-agent.service knows it. */
const RESTART = 75;

/** The commands that a box has. @param askBox where other boxes can be asked for a support bundle, too */
export function addBoxCommands(program: Command, askBox?: AskBox): void {
	addSupportCommand(program, askBox);
	program
		.command("agent")
		.description("run the box's agent until it is told to stop")
		.option("-c, --config <file>", "configuration", CONFIG)
		.option("--check", "check configuration and identity, then exit")
		.action(async ({ config, check }: { config: string; check?: true }) => {
			if (check) {
				process.exitCode = await doctorCommand({ config, json: false });
				return;
			}
			const recent = new Recent();
			const log = createLog("agent", "info", { veiled: true, recent });
			await runService(log, async (onFatal, end) => {
				const { startAgent } = await import("../agent/agent.ts");
				const restart = () => end(RESTART);
				return await startAgent(config, log, onFatal, restart, recent);
			});
		});
	askCommand(
		program,
		"status",
		"what the running agent holds, fetches and serves",
	)
		.option("--json", "print the raw result")
		.action(async (options: AskOptions) => {
			const socket = await socketOf(options);
			const json = options.json ?? false;
			process.exitCode = await statusCommand({ socket, json });
		});
	askCommand(
		program,
		"player-token",
		"what the addresses of a player on this box start with, until the next boot",
	)
		.option("--json", "print the raw result")
		.action(async (options: AskOptions) => {
			const socket = await socketOf(options);
			await playerTokenCommand({ socket, json: options.json ?? false });
		});
	askCommand(
		program,
		"metrics",
		"the running agent's figures, for Prometheus",
	).action(async (options: AskOptions) => {
		await metricsCommand(await socketOf(options));
	});
	askCommand(
		program,
		"power",
		"tell the running agent whether the receiver is in use: before it sleeps, others go on with what this box gives",
	)
		.addArgument(
			new Argument("<state>")
				.choices(["active", "standby", "off"])
				.argRequired(),
		)
		.option("--json", "print the raw result")
		.action(async (state: PowerState["power"], options: AskOptions) => {
			const socket = await socketOf(options);
			await powerCommand({ socket, state, json: options.json ?? false });
		});
	addHouseholdCommands(program);
	program
		.command("doctor")
		.description("what is wrong with this box, and what to do about it")
		.option("-c, --config <file>", "configuration", CONFIG)
		.option("--json", "print the raw result")
		.action(async ({ config, json }: { config: string; json?: true }) => {
			process.exitCode = await doctorCommand({ config, json: json ?? false });
		});
	program
		.command("prove")
		.description(
			"whether the release on trial serves, and if it does, that it stays; launch asks",
		)
		.option("-c, --config <file>", "configuration", CONFIG)
		.option("--within <span>", "how long it may take", "60 s")
		.action(async (options: { config: string; within: string }) => {
			const { LARDER_RELEASES: releases } = process.env;
			const patience = parseSpan(options.within);
			if (patience === undefined)
				throw new LarderError("CONFIG_INVALID", `--within ${options.within}`);
			if (!releases)
				throw new LarderError("CONFIG_INVALID", "LARDER_RELEASES is not set");
			const config = await loadConfig(options.config);
			await prove(config, new Releases(releases), patience);
		});
	program
		.command("export")
		.description(
			"write the shards that this box holds of a title into a folder, for the inbox of another box",
		)
		.argument("<title>", "its id, or how that begins")
		.argument("<folder>", "where they go, in a folder of their own")
		.option("-c, --config <file>", "configuration", CONFIG)
		.option("--json", "print the raw result")
		.action(
			async (
				title: string,
				folder: string,
				{ config, json }: { config: string; json?: true },
			) => {
				await exportCommand(title, folder, { config, json: json ?? false });
			},
		);
	program
		.command("factory-reset")
		.description(
			"remove shards, keys and history from this box; its identity stays",
		)
		.option("-c, --config <file>", "configuration", CONFIG)
		.requiredOption("--yes", "really: it cannot be undone")
		.option("--json", "print the raw result")
		.action(async ({ config, json }: { config: string; json?: true }) => {
			await resetCommand({ config, json: json ?? false });
		});
	program
		.command("bootstrap")
		.description("run an operator's DHT node, from which boxes find each other")
		.requiredOption("--host <address>", "IPv4 address by which boxes reach it")
		.option("--port <port>", "UDP port", "49737")
		.option("--join <host:port...>", "other operator nodes", [])
		.action(async (options: { host: string; port: string; join: string[] }) => {
			const port = Number(options.port);
			if (!Number.isInteger(port) || port < 1 || port > 65_535) {
				throw new LarderError("CONFIG_INVALID", `--port ${options.port}`);
			}
			const log = createLog("bootstrap", "info");
			await runService(log, async () => {
				const { openBootstrapNode } = await import("../swarm/dht.ts");
				const node = await openBootstrapNode(options.host, port, options.join);
				log.info({ host: options.host, port }, "ready");
				return { close: () => node.destroy({ force: true }) };
			});
		});
}
