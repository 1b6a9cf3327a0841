import type { Command } from "commander";
import { formatBytes } from "../base/units.ts";
import { openOperator } from "../headend/operator/operator.ts";
import { publishRelease } from "../headend/release/publish.ts";
import { signRelease } from "../headend/release/sign.ts";
import { DIR } from "./folder.ts";
import { print, printJson } from "./output.ts";
import { ProgressBar } from "./progress.ts";

/** The commands that make releases of the agent. */
export function addReleaseCommands(program: Command): void {
	const releases = program
		.command("release")
		.description("sign and publish releases of the boxes' agent");
	releases
		.command("sign")
		.description("sign a bundle with the key for updates, where that key is")
		.argument("<bundle>", "the folder that was built: dist/agent/linux-arm64")
		.requiredOption("--key <file>", "release.json, on the stick")
		.option("--minimum <version>", "the lowest version that may become it")
		.option("--out <folder>", "where the file is put", ".")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(
			async (
				bundle: string,
				options: {
					dir: string;
					key: string;
					minimum?: string;
					out: string;
					json?: true;
				},
			) => {
				const { dir, json, ...how } = options;
				const operator = await openOperator(dir);
				const made = await signRelease(operator, { bundle, ...how });
				const { path, said } = made;
				if (json) printJson({ path, ...said });
				else
					print(
						`${path}: ${said.version} for ${said.target}, ${formatBytes(said.size)}`,
					);
			},
		);
	releases
		.command("publish")
		.description("publish a signed release; larder rollout brings it to boxes")
		.argument("<file>", "what larder release sign wrote")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async (file: string, options: { dir: string; json?: true }) => {
			const stop = new AbortController();
			process.once("SIGINT", () =>
				stop.abort(new Error("interrupted; run it again to go on")),
			);
			const operator = await openOperator(options.dir);
			const bar = new ProgressBar();
			try {
				const { title, said } = await publishRelease(
					operator,
					file,
					stop.signal,
					({ phase, bytesDone, bytesTotal }) =>
						bar.show(phase, bytesDone, bytesTotal),
				);
				bar.clear();
				if (options.json) printJson({ id: title.id, ...said });
				else
					print(
						`published ${said.version} for ${said.target}; next: larder rollout start ${said.version}`,
					);
			} finally {
				bar.clear();
			}
		});
}
