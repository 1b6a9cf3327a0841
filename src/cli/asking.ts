import type { Command } from "commander";
import { loadConfig } from "../agent/config.ts";

export const CONFIG = "/etc/larder/larder.toml";

export interface AskOptions {
	readonly config: string;
	readonly socket?: string;
	readonly json?: true;
}

/** A command that asks the running agent. */
export function askCommand(
	program: Command,
	name: string,
	description: string,
): Command {
	return program
		.command(name)
		.description(description)
		.option("-c, --config <file>", "configuration", CONFIG)
		.option(
			"--socket <path>",
			"the agent's socket instead of the configured one",
		);
}

export async function socketOf({
	config,
	socket,
}: AskOptions): Promise<string> {
	return socket ?? (await loadConfig(config)).ipc.socket;
}
