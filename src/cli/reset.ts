import { type Config, loadConfig } from "../agent/config.ts";
import { callOffReset, orderReset, resetBox } from "../agent/reset.ts";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import { callIpc } from "../ipc/client.ts";
import { print, printJson } from "./output.ts";

/**
 * Resets this box and says what was removed; an agent that runs ends, and its next start does it. It takes the right to write to the data
 * folder. Throws STORE_UNUSABLE, and what the agent says.
 */
export async function resetCommand(options: {
	readonly config: string;
	readonly json: boolean;
}): Promise<void> {
	const config = await loadConfig(options.config);
	const removed = await reset(config);
	if (options.json) printJson({ ok: true, removed: removed ?? null });
	else if (removed === undefined)
		print("The agent ends; its next start begins with the reset.");
	else if (removed.length === 0) print("There was nothing to remove.");
	else print(`Removed: ${removed.join(", ")}. The box is who it was.`);
}

/** What was removed; undefined when the agent does it. */
async function reset(config: Config): Promise<string[] | undefined> {
	try {
		return await resetBox(config);
	} catch (error) {
		const runs = error instanceof LarderError && error.code === "BOX_BUSY";
		if (!runs) throw error;
	}
	await orderReset(config);
	try {
		await callIpc(config.ipc.socket, "factory-reset", 5 * SECOND);
	} catch (error) {
		await callOffReset(config);
		throw error;
	}
	return undefined;
}
