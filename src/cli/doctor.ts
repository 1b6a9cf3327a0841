import { type Config, loadConfig } from "../agent/config.ts";
import { failure, finding } from "../agent/finding.ts";
import { describe, LarderError } from "../base/errors.ts";
import { MINUTE } from "../base/time.ts";
import { timeOf } from "../wire/envelope.ts";
import { type Check, type Diagnosis, diagnosis } from "../wire/ipc.ts";
import { ask } from "./ask.ts";
import { print, printJson, type Tone, table, tint } from "./output.ts";

/** The agent checks the network too, and each of its checks has a patience of its own. */
const PATIENCE = MINUTE;

/**
 * Examines a box: by its agent when that runs, and otherwise what can be seen without one. Prints the findings.
 * Gives the exit code: 1 when any check fails, else 0.
 * @param options.config path of larder.toml
 */
export async function doctorCommand(options: {
	readonly config: string;
	readonly json: boolean;
}): Promise<number> {
	const checks = await examine(options.config);
	if (options.json) printJson({ checks } satisfies Diagnosis);
	else print(render(checks).join("\n"));
	return checks.some(({ level }) => level === "fail") ? 1 : 0;
}

/** Never rejects for what is wrong with the box: that is what it finds. */
export async function examine(path: string): Promise<Check[]> {
	let config: Config;
	try {
		config = await loadConfig(path);
	} catch (error) {
		return [failure("configuration", error)];
	}
	const valid = finding("configuration", "ok", `${path} is valid`);
	try {
		const { value } = await ask(config.ipc.socket, "doctor", diagnosis, {
			patience: PATIENCE,
		});
		return [valid, ...value.checks];
	} catch (error) {
		const remedy = error instanceof LarderError ? error.remedy : undefined;
		const { checkBox } = await import("../agent/checks.ts");
		return [
			valid,
			finding("agent", "warn", describe(error), remedy),
			...(await checkBox(config, timeOf(Date.now))),
		];
	}
}

const TONES = {
	ok: "good",
	warn: "warn",
	fail: "bad",
} as const satisfies Record<Check["level"], Tone>;

/** One line a finding; what to do about it stands below. */
export function render(checks: readonly Check[]): string[] {
	const rows = checks.flatMap(({ name, level, finding: text, remedy }) => {
		const [first = "", ...more] = text.split("\n");
		return [
			[tint(TONES[level], level), name, first],
			...more.map((line) => ["", "", line]),
			...(remedy === undefined ? [] : [["", "", tint("faint", remedy)]]),
		];
	});
	return table(rows);
}
