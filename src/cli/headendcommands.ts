import type { Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { createLog } from "../base/log.ts";
import { formatBytes } from "../base/units.ts";
import { backup, restore } from "../headend/backup/backup.ts";
import { startBroker } from "../headend/control/broker.ts";
import { startHeadend } from "../headend/headend.ts";
import { issueBox } from "../headend/operator/issue.ts";
import { initOperator, openOperator } from "../headend/operator/operator.ts";
import { startOrigin } from "../headend/origin.ts";
import { publish } from "../headend/publish/publish.ts";
import { listTitles } from "../headend/publish/titles.ts";
import { isRegion, short } from "../wire/ids.ts";
import { formatSpan, print, printJson, table, tint } from "./output.ts";
import { runService } from "./program.ts";
import { ProgressBar } from "./progress.ts";

const DIR = [
	"-d, --dir <folder>",
	"the operator's folder",
	"operator",
] as const;

/** The commands of an operator. */
export function addHeadendCommands(program: Command): void {
	program
		.command("init")
		.description("make an operator: keys, network, and operator.toml to edit")
		.argument("<folder>", "a new or empty folder")
		.option("--region <name>", "the first region", "region-1")
		.option("--copies <n>", "copies of each shard", "3")
		.action(
			async (folder: string, options: { region: string; copies: string }) => {
				if (!isRegion(options.region)) {
					throw new LarderError(
						"CONFIG_INVALID",
						"--region: lower-case letters, digits and hyphens, at most 32",
					);
				}
				const copies = whole(options.copies, "--copies");
				const operator = await initOperator(folder, {
					region: options.region,
					copies,
				});
				print(
					`operator of network ${short(operator.network)} in ${operator.dir}`,
				);
				print(
					`next: edit ${operator.dir}/operator.toml, then run larder headend -d ${folder}`,
				);
			},
		);
	program
		.command("issue")
		.description("make the identity and configuration of one box")
		.argument("<folder>", "the new box's folder")
		.requiredOption("--serial <serial>", "the receiver's serial number")
		.option(...DIR)
		.action(
			async (folder: string, options: { serial: string; dir: string }) => {
				const operator = await openOperator(options.dir);
				const box = await issueBox(operator, {
					dir: folder,
					serial: options.serial,
				});
				print(
					`box ${short(box)} in ${folder}: larder agent -c ${folder}/larder.toml`,
				);
			},
		);
	program
		.command("headend")
		.description("run the operator's service until it is told to stop")
		.option(...DIR)
		.option("--no-origin", "another server serves the origin folder")
		.option("--plan-after <ms>", "quiet time before a plan is made", "2000")
		.action(
			async (options: { dir: string; origin: boolean; planAfter: string }) => {
				const log = createLog("headend", "info");
				await runService(log, async () => {
					const headend = await startHeadend(options.dir, log, {
						serveOrigin: options.origin,
						quiet: whole(options.planAfter, "--plan-after"),
					});
					print(`operator page: ${headend.url}`);
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
	program
		.command("broker")
		.description("run the small MQTT broker for the desk (loopback only)")
		.option("--host <address>", "a loopback address", "127.0.0.1")
		.option("--port <port>", "TCP port", "1883")
		.action(async ({ host, port }: { host: string; port: string }) => {
			const log = createLog("broker", "info");
			await runService(log, async () => {
				const broker = await startBroker({
					host,
					port: whole(port, "--port"),
					log,
				});
				log.info({ port: broker.port }, "ready");
				return broker;
			});
		});
	program
		.command("publish")
		.description("publish an HLS or DASH package or an MP4")
		.argument("<source>", "the package's folder, or the file")
		.option(...DIR)
		.option("--name <name>", "what viewers read")
		.option(
			"--asset-id <id>",
			"your own id; publishing it again makes the next version",
		)
		.option("--json", "print the published title as JSON")
		.action(
			async (
				source: string,
				options: { dir: string; name?: string; assetId?: string; json?: true },
			) => {
				const stop = new AbortController();
				process.once("SIGINT", () =>
					stop.abort(new Error("interrupted; run it again to go on")),
				);
				const bar = new ProgressBar();
				const { dir } = await openOperator(options.dir);
				try {
					const { title, warnings, resumed } = await publish(
						{
							operatorDir: dir,
							source,
							kind: "title",
							...(options.name !== undefined && { name: options.name }),
							...(options.assetId !== undefined && {
								assetId: options.assetId,
							}),
							onProgress: ({ phase, bytesDone, bytesTotal }) =>
								bar.show(phase, bytesDone, bytesTotal),
						},
						stop.signal,
					);
					bar.clear();
					const { key: _, nonce: __, ...open } = title;
					if (options.json) {
						printJson({ ...open, warnings, resumed });
						return;
					}
					for (const { file, what, remedy } of warnings) {
						print(`${tint("warn", "warning:")} ${file}: ${what}. ${remedy}`);
					}
					print(
						`published ${title.name}, ${formatBytes(title.size)}, version ${title.version}`,
					);
					print(`title ${title.id}`);
				} finally {
					bar.clear();
				}
			},
		);
	program
		.command("titles")
		.description("what is published")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async (options: { dir: string; json?: true }) => {
			const { titles, damaged } = await listTitles(options.dir);
			if (options.json) {
				printJson(titles.map(({ key: _, nonce: __, ...open }) => open));
				return;
			}
			const rows = titles.map((title) => [
				short(title.id),
				title.assetId,
				`v${title.version}`,
				formatBytes(title.size),
				formatSpan(title.duration * 1000),
				title.name,
			]);
			print(
				rows.length === 0 ? "nothing is published" : table(rows).join("\n"),
			);
			for (const { path, why } of damaged)
				print(`${tint("bad", "damaged:")} ${path}: ${why}`);
		});
	program
		.command("backup")
		.description(
			"write keys, titles and fleet database into one file; the headend may run",
		)
		.argument("<file>")
		.option(...DIR)
		.action(async (file: string, { dir }: { dir: string }) => {
			await backup(await openOperator(dir), file);
			print(`${file} holds every secret of the operator: keep it as such`);
		});
	program
		.command("restore")
		.description("make an operator's folder from a backup; boxes follow it")
		.argument("<file>")
		.argument("<folder>", "a new or empty folder")
		.action(async (file: string, folder: string) => {
			await restore(file, folder);
			print(`restored into ${folder}: larder headend -d ${folder}`);
		});
}

function whole(text: string, option: string): number {
	const value = Number(text);
	if (Number.isInteger(value) && value >= 0) return value;
	throw new LarderError(
		"CONFIG_INVALID",
		`${option} takes a whole number, not ${text}`,
	);
}
