import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { createLog } from "../base/log.ts";
import { HeadendClient } from "../headend/api/client.ts";
import { initOperator, openOperator } from "../headend/operator/operator.ts";
import { isRegion, short } from "../wire/ids.ts";
import { MAX_RANK } from "../wire/placement.ts";
import { addAccessCommands } from "./accesscommands.ts";
import { whole } from "./argument.ts";
import { addBrokerCommands } from "./brokercommands.ts";
import { addEnrolCommands } from "./enrolcommands.ts";
import { addEntitleCommands } from "./entitlecommands.ts";
import { addFleetCommands } from "./fleetcommands.ts";
import { DIR } from "./folder.ts";
import { addIssueCommands } from "./issuecommands.ts";
import { addKeyCommands } from "./keycommands.ts";
import { print } from "./output.ts";
import { runService } from "./program.ts";
import { addPurgeCommand } from "./purgecommand.ts";
import { addQualityCommand } from "./qualitycommand.ts";
import { addReleaseCommands } from "./releasecommands.ts";
import { addRolloutCommands } from "./rolloutcommands.ts";
import { addTitleCommands } from "./titlecommands.ts";

/** The commands of an operator. */
export function addHeadendCommands(program: Command): void {
	addInitCommand(program);
	addIssueCommands(program);
	addServiceCommands(program);
	addBrokerCommands(program);
	addTitleCommands(program);
	addQualityCommand(program);
	addReleaseCommands(program);
	addRolloutCommands(program);
	addFleetCommands(program);
	addEnrolCommands(program);
	addPurgeCommand(program);
	addAccessCommands(program);
	addKeyCommands(program);
	addEntitleCommands(program);
	addBackupCommands(program);
}

function addInitCommand(program: Command): void {
	program
		.command("init")
		.description("make an operator: keys, network, and operator.toml to edit")
		.argument("<folder>", "a new or empty folder")
		.option("--region <name>", "the first region", "region-1")
		.option("--copies <n>", "copies of each shard", whole(1, MAX_RANK), 3)
		.option(
			"--host <address>",
			"IPv4 address by which boxes reach this machine",
			"127.0.0.1",
		)
		.option(
			"--root <file>",
			"where the root's key is put, and release.json beside it: best on a stick",
		)
		.action(
			async (
				folder: string,
				options: {
					region: string;
					copies: number;
					host: string;
					root?: string;
				},
			) => {
				const { region, ...settings } = options;
				if (!isRegion(region))
					throw new LarderError(
						"CONFIG_INVALID",
						"--region: lower-case letters, digits and hyphens, at most 32",
					);
				const operator = await initOperator(folder, { region, ...settings });
				const { network, dir } = operator;
				print(`operator of network ${short(network)} in ${dir}`);
				for (const line of aboutRoot(dir, options.root)) print(line);
				print(
					`next: edit ${dir}/operator.toml, then run larder headend -d ${folder}`,
				);
			},
		);
}

/** What to do with the two keys that the headend does without. */
function aboutRoot(dir: string, root: string | undefined): string[] {
	const [root_, release] = root
		? [root, join(dirname(root), "release.json")]
		: [join(dir, "keys/root.json"), join(dir, "keys/release.json")];
	return [
		root
			? `the root's key is in ${root_}, the key for updates in ${release}`
			: `move ${root_} and ${release} to a stick: the headend needs neither`,
		"keep two copies, locked away: without the root no key can ever be replaced, and who has it is the operator",
	];
}

/** A person at a terminal gets the address that opens the page; a journal, which others read, does not get the token in it. */
function whereThePageIs(dir: string, url: string): string[] {
	if (process.stdout.isTTY === true) return [`operator page: ${url}`];
	const token = join(dir, "keys", "api-token");
	return [
		`operator page: ${new URL("/", url)}?token=… (the token is in ${token})`,
	];
}

function addServiceCommands(program: Command): void {
	program
		.command("headend")
		.description("run the operator's service until it is told to stop")
		.option(...DIR)
		.option("--no-origin", "another server serves the origin folder")
		.option(
			"--plan-after <ms>",
			"quiet time before a plan is made",
			whole(0),
			2000,
		)
		.action(
			async (options: { dir: string; origin: boolean; planAfter: number }) => {
				const log = createLog("headend", "info");
				await runService(log, async () => {
					const { startHeadend } = await import("../headend/headend.ts");
					const headend = await startHeadend(options.dir, log, {
						serveOrigin: options.origin,
						quiet: options.planAfter,
					});
					for (const line of whereThePageIs(options.dir, headend.url))
						print(line);
					return headend;
				});
			},
		);
	program
		.command("origin")
		.description("serve an operator's origin folder over HTTP, alone")
		.option(...DIR)
		.action(async ({ dir }: { dir: string }) => {
			const log = createLog("origin", "info");
			await runService(log, async () => {
				const { startOrigin } = await import("../headend/origin.ts");
				const { config, dir: root } = await openOperator(dir);
				const { host, port } = config.origin;
				const origin = await startOrigin({
					host,
					port,
					dir: `${root}/origin`,
					log,
				});
				log.info({ port: origin.port }, "ready");
				return {
					close: async () => {
						await origin.close();
						log.info({ bytesSent: origin.bytesSent }, "closed");
					},
				};
			});
		});
}

function addBackupCommands(program: Command): void {
	program
		.command("backup")
		.description(
			"write keys, titles and fleet database into one file; the headend may run",
		)
		.argument("<file>")
		.option(...DIR)
		.action(async (file: string, { dir }: { dir: string }) => {
			const operator = await openOperator(dir);
			const headend = await HeadendClient.find(dir);
			const { backup } = await import("../headend/backup/backup.ts");
			await (headend?.backup(file) ?? backup(operator, file));
			print(`${file} holds every secret of the operator: keep it as such`);
			if (existsSync(join(operator.dir, "keys", "root.json")))
				print(
					"the root's key too: move keys/root.json and keys/release.json to a stick, and backups are worth less to a thief",
				);
		});
	program
		.command("restore")
		.description("make an operator's folder from a backup; boxes follow it")
		.argument("<file>")
		.argument("<folder>", "a new or empty folder")
		.action(async (file: string, folder: string) => {
			const { restore } = await import("../headend/backup/backup.ts");
			await restore(file, folder);
			print(`restored into ${folder}: larder headend -d ${folder}`);
		});
}
