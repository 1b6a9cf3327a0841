import { Command, CommanderError } from "commander";
import { VERSION } from "../agent/built.ts";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import { tint } from "./output.ts";

/** A service that has not closed after so long is left behind. */
const CLOSE_LIMIT = 4.5 * SECOND;

export function createProgram(description: string): Command {
	return new Command("larder")
		.description(description)
		.version(VERSION)
		.showHelpAfterError()
		.exitOverride();
}

/** Runs the command line; what goes wrong is told with what to do about it, and the process exits non-zero. */
export async function runProgram(program: Command): Promise<void> {
	try {
		await program.parseAsync();
	} catch (error) {
		if (error instanceof CommanderError) {
			process.exitCode = error.exitCode;
			return;
		}
		tell(error);
		process.exitCode = 1;
	}
}

/** One error on standard error, for a person. */
export function tell(error: unknown): void {
	const lines = [`${tint("bad", "larder:")} ${describe(error)}`];
	if (error instanceof LarderError) lines.push(`  ${error.remedy}`);
	else if (error instanceof Error && error.stack) lines.push(error.stack);
	process.stderr.write(`${lines.join("\n")}\n`);
}

export interface Service {
	close(): Promise<void>;
}

/**
 * Runs a service until SIGTERM or SIGINT, then closes it and exits 0; a second signal or a slow close exits 1.
 * @param start given what to call when the service cannot go on, and what ends it with a status
 */
export async function runService(
	log: Log,
	start: (
		onFatal: (error: Error) => void,
		end: (status: number) => void,
	) => Promise<Service>,
): Promise<void> {
	let service: Service | undefined;
	let ending = false;
	const end = (code: number) => {
		if (ending) process.exit(1);
		ending = true;
		setTimeout(() => {
			log.error({}, "not everything closed in time");
			process.exit(1);
		}, CLOSE_LIMIT).unref();
		(service?.close() ?? Promise.resolve()).then(
			() => process.exit(code),
			(error: unknown) => {
				log.error({ err: error }, "closing failed");
				process.exit(1);
			},
		);
	};
	process.on("SIGTERM", () => end(0));
	process.on("SIGINT", () => end(0));
	process.on("uncaughtException", (error) => {
		log.fatal({ err: error }, "a defect: the process ends");
		end(70);
	});
	service = await start((error) => {
		log.fatal({ err: error }, "the service cannot go on");
		end(1);
	}, end);
}
