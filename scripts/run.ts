import { spawn } from "node:child_process";

/** Runs a command to its end without a standard input. Gives back what it printed; throws with all of it when it fails. */
export async function run(
	command: string,
	args: readonly string[],
	cwd?: string,
	env?: Readonly<Record<string, string>>,
): Promise<string> {
	const child = spawn(command, args, {
		stdio: ["ignore", "pipe", "pipe"],
		...(cwd !== undefined && { cwd }),
		...(env !== undefined && { env: { ...process.env, ...env } }),
	});
	let printed = "";
	let said = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		printed += text;
	});
	child.stderr.setEncoding("utf8").on("data", (text: string) => {
		said += text;
	});
	const end = await new Promise<string | number | null>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code, signal) => resolve(signal ?? code));
	});
	if (end === 0) return printed;
	const line = [command, ...args].join(" ");
	throw new Error(`\`${line}\` ended with ${end}\n${printed}${said}`.trim());
}
