import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Second } from "./plot.ts";

export interface Following {
	/** All seconds since it began in which anything was played. */
	end(): Promise<Second[]>;
}

/** Follows where a box's player gets its bytes from, as its page does. @param within a command that leads to the box's machine */
export function followSources(
	within: readonly string[],
	gateway: string,
): Following {
	const curl = [...within, "curl", "--silent", "--no-buffer"];
	const [enter = "", ...words] = [...curl, `${gateway}/sources`];
	const child = spawn(enter, words, { stdio: ["ignore", "pipe", "inherit"] });
	const ended = once(child, "close");
	const seconds = new Map<number, Second>();
	createInterface(child.stdout).on("line", (line) => {
		const data = /^data: (.*)$/.exec(line)?.[1];
		if (data === undefined) return;
		const told = JSON.parse(data) as { readonly seconds: readonly Second[] };
		for (const second of told.seconds) seconds.set(second.at, second);
	});
	return {
		end: async () => {
			child.kill();
			await ended;
			return [...seconds.values()];
		},
	};
}
