import type { Command } from "commander";
import { formatBytes } from "../base/units.ts";
import { openOperator } from "../headend/operator/operator.ts";
import { publish } from "../headend/publish/publish.ts";
import { listTitles } from "../headend/publish/titles.ts";
import { short } from "../wire/ids.ts";
import { DIR } from "./folder.ts";
import { formatSpan, print, printJson, table, tint } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** The commands that work on titles. */
export function addTitleCommands(program: Command): void {
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
}
