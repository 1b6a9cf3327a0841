import type { Command } from "commander";
import { VERSION } from "../agent/built.ts";
import { loadConfig } from "../agent/config.ts";
import {
	checkImage,
	compareImage,
	trustOf,
	writeImage,
} from "../agent/update/image.ts";
import { createLog } from "../base/log.ts";
import { CONFIG } from "./asking.ts";
import { print } from "./output.ts";

/** The commands by which larder-slot, on a box that runs our image, brings another one. */
export function addImageCommands(program: Command): void {
	const images = program
		.command("image")
		.description("images of a receiver that has two slots; larder-slot asks");
	images
		.command("check")
		.description("whether an image is the operator's, whole and for this box")
		.argument("<file>", "what larder release sign wrote")
		.argument("[partition]", "compare with that slot, too")
		.option("-c, --config <file>", "configuration", CONFIG)
		.action(
			async (
				file: string,
				slot: string | undefined,
				options: { config: string },
			) => {
				const said = await checkImage(
					file,
					await trust(options.config),
					VERSION,
				);
				if (slot !== undefined) await compareImage(said, slot);
				print(`${slot ?? file}: ${said.version}, good`);
			},
		);
	images
		.command("write")
		.description("write an image onto a slot that does not run")
		.argument("<file>", "what larder release sign wrote")
		.argument("<partition>", "the slot: /dev/disk/by-partlabel/larder-b")
		.option("-c, --config <file>", "configuration", CONFIG)
		.action(async (file: string, slot: string, options: { config: string }) => {
			const whom = await trust(options.config);
			const { version } = await writeImage(file, whom, VERSION, slot);
			print(`${slot}: ${version}`);
		});
}

async function trust(config: string) {
	return trustOf(await loadConfig(config), createLog("image", "warn"));
}
