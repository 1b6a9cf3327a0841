import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Command } from "commander";
import type * as z from "zod/mini";
import { bundleOf } from "../agent/bundle.ts";
import { type Config, loadConfig } from "../agent/config.ts";
import { machineOf } from "../agent/machine.ts";
import { SECOND } from "../base/time.ts";
import { formatBytes, MiB } from "../base/units.ts";
import { callIpc } from "../ipc/client.ts";
import { short } from "../wire/ids.ts";
import { type IpcMethod, recentLog, status } from "../wire/ipc.ts";
import { parseValue } from "../wire/json.ts";
import { examine } from "./doctor.ts";
import { print } from "./output.ts";

const JOURNAL = [
	...["--unit=larder-agent.service", "--lines=5000", "--no-pager"],
	...["--quiet", "--output=short-iso"],
];

/** Has another box make one, and gives it with what to call the box. */
export type AskBox = (box: string, dir: string) => Promise<[string, Buffer]>;

/** Adds what makes a support bundle of this box and, with `askBox`, of any other. */
export function addSupportCommand(program: Command, askBox?: AskBox): void {
	const command = program
		.command("support-bundle")
		.description(
			"a file for who helps with a box: how it stands, its log and its disk, without titles, keys and tokens",
		)
		.option("-c, --config <file>", "configuration", "/etc/larder/larder.toml")
		.option("--out <file>", "a new file");
	if (askBox !== undefined)
		command
			.argument("[box]", "id, its beginning, or serial; this box unless given")
			.option("-d, --dir <folder>", "the operator's folder", "operator");
	command.action(async (...args: unknown[]) => {
		const box = typeof args[0] === "string" ? args[0] : undefined;
		const {
			config,
			out,
			dir = "",
		} = command.opts<{
			config: string;
			out?: string;
			dir?: string;
		}>();
		const [name, bundle] =
			box !== undefined && askBox !== undefined
				? await askBox(box, dir)
				: await ownBundle(config);
		const file = out ?? `larder-support-${name}.tar.gz`;
		await writeFile(file, bundle, { mode: 0o600, flag: "wx" });
		print(`${file}, ${formatBytes(bundle.length)}`);
	});
}

/** Whatever does not answer is left out: that is when a bundle is wanted. */
async function ownBundle(path: string): Promise<[string, Buffer]> {
	const config = await loadConfig(path).catch(() => undefined);
	const ask = asking(config);
	const [state, said, checks, machine, journal] = await Promise.all([
		ask("status", status),
		ask("log", recentLog),
		examine(path),
		machineOf(config?.data),
		readJournal(),
	]);
	const box = state?.box;
	const logs = { "journal.log": journal, "agent.log": said?.text ?? "" };
	const found = { box, config, status: state, checks, machine, logs };
	return [box === undefined ? "box" : short(box), bundleOf(found)];
}

/** Asks the agent, if there is one that answers. */
function asking(config: Config | undefined) {
	return async <T extends z.ZodMiniType>(
		method: IpcMethod,
		schema: T,
	): Promise<z.output<T> | undefined> => {
		if (config === undefined) return undefined;
		const answer = callIpc(config.ipc.socket, method, 5 * SECOND);
		const read = parseValue(schema, await answer.catch(() => undefined));
		return read.ok ? read.value : undefined;
	};
}

/** Empty where there is no journal, or this user may not read it. */
async function readJournal(): Promise<string> {
	const limits = { maxBuffer: 16 * MiB, timeout: 10 * SECOND };
	try {
		const run = promisify(execFile);
		return (await run("journalctl", JOURNAL, limits)).stdout;
	} catch {
		// The doctor's findings stand in the bundle, and say what is wrong with the agent.
		return "";
	}
}
