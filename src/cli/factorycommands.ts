import type { Command } from "commander";
import {
	addBatch,
	type BatchView,
	listBatches,
	removeBatch,
} from "../headend/enrol/batches.ts";
import { writeClaims } from "../headend/enrol/claims.ts";
import { readSerials } from "../headend/enrol/serials.ts";
import { readConfig } from "../headend/operator/config.ts";
import { openOperator } from "../headend/operator/operator.ts";
import { DIR } from "./folder.ts";
import { plural, print, printJson, table, tint } from "./output.ts";
import { ProgressBar } from "./progress.ts";

interface Options {
	readonly dir: string;
	readonly json?: true;
}

/** Batches and claims: what works on the operator's folder, whether a headend runs or not. */
export function addFactoryCommands(enrol: Command): void {
	const batch = enrol
		.command("batch")
		.description(
			"boxes that are made together, and the secret of their claims",
		);
	batch
		.command("add")
		.description("make a batch; its secret never leaves the operator's folder")
		.argument("<name>", "lower-case letters, digits and hyphens")
		.option(
			"--shared",
			"one claim for all its boxes, which a person must let in one by one",
		)
		.option(...DIR)
		.action(
			async (name: string, options: Options & { readonly shared?: true }) => {
				await readConfig(options.dir);
				await addBatch(options, name, options.shared ?? false);
				const serials = options.shared ? "" : " --serials serials.csv";
				print(`next: larder enrol claims ${name}${serials} --out claims`);
			},
		);
	batch
		.command("list")
		.description("the batches")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async (options: Options) => {
			await readConfig(options.dir);
			const batches = await listBatches(options);
			if (options.json) printJson(batches);
			else if (batches.length === 0) print("there are no batches");
			else print(tableOfBatches(batches).join("\n"));
		});
	batch
		.command("remove")
		.description("make the claims of a batch worthless; who is in stays")
		.argument("<name>")
		.option(...DIR)
		.action(async (name: string, options: Options) => {
			await readConfig(options.dir);
			await removeBatch(options, name);
			print(`claims of ${name} let nobody in any more`);
		});
	enrol
		.command("claims")
		.description("write enrol.json for each box of a batch, for the factory")
		.argument("<batch>")
		.option(
			"--serials <file>",
			"a serial number a line, or in the first column of a CSV file",
		)
		.requiredOption("--out <folder>", "filled with <serial>/enrol.json")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(
			async (
				name: string,
				options: Options & { readonly serials?: string; readonly out: string },
			) => {
				const operator = await openOperator(options.dir);
				const serials =
					options.serials === undefined
						? undefined
						: await readSerials(options.serials);
				const bar = new ProgressBar();
				const made = await writeClaims(operator, {
					...{ batch: name, serials, out: options.out },
					onProgress: (done, total) => bar.count("writing", done, total),
				});
				bar.clear();
				if (options.json) return printJson(made);
				const { written, kept, out } = made;
				const there = kept > 0 ? `; ${kept} were there already` : "";
				print(`${plural(written, "claim", "claims")} in ${out}${there}`);
				print(
					"each lets one box in: keep them as secrets until they are on it",
				);
			},
		);
}

function tableOfBatches(batches: readonly BatchView[]): string[] {
	const head = ["batch", "claims", "since"].map((name) => tint("faint", name));
	return table([
		head,
		...batches.map(({ name, shared, createdAt }) => [
			name,
			shared ? "one for all" : "one for each box",
			new Date(createdAt).toLocaleString("sv-SE"),
		]),
	]);
}
