import { type Command, InvalidArgumentError, Option } from "commander";
import { DAY, HOUR } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { apiAddress, HeadendClient } from "../headend/api/client.ts";
import {
	ROLES,
	type Role,
	Tokens,
	type TokenView,
} from "../headend/api/tokens.ts";
import type { Entry } from "../headend/audit.ts";
import { readConfig } from "../headend/operator/config.ts";
import { lockOperator } from "../headend/operator/lock.ts";
import { isBoxId, isTitleId, short } from "../wire/ids.ts";
import { DIR } from "./folder.ts";
import { print, printJson, table, tint } from "./output.ts";

/** The commands that say who may do what at the headend, and who did. */
export function addAccessCommands(program: Command): void {
	addTokenCommands(
		program
			.command("token")
			.description("who may look at the operator's page, and who may change"),
	);
	program
		.command("audit")
		.description("every change: who made it, from where, why, what came of it")
		.option(
			"--since <when>",
			"a date, or so long ago: 12h, 7d",
			instant,
			Date.now() - 30 * DAY,
		)
		.option("--json", "print JSON")
		.option(...DIR)
		.action(async (options: { dir: string; since: Millis; json?: true }) => {
			const headend = await HeadendClient.open(options.dir);
			const entries = await headend.audit(options.since);
			if (options.json) printJson(entries);
			else if (entries.length === 0) print("nothing was changed");
			else print(tableOfEntries(entries).join("\n"));
		});
}

function addTokenCommands(program: Command): void {
	program
		.command("add")
		.description("make a token for somebody; it is shown this once")
		.argument("<name>", "whose: lower-case letters, digits and hyphens")
		.addOption(
			new Option("--role <role>", "a viewer looks, an operator changes")
				.choices(ROLES)
				.makeOptionMandatory(),
		)
		.option(...DIR)
		.action(
			async (name: string, { dir, role }: { dir: string; role: Role }) => {
				const headend = await HeadendClient.find(dir);
				const token = await (headend?.addToken(name, role) ??
					alone(dir, (tokens) => tokens.add(name, role)));
				print(token);
				print(
					`for ${name}, never shown again; the page opens at ${apiAddress(await readConfig(dir))}/?token=<token>`,
				);
			},
		);
	program
		.command("list")
		.description("who has a token, beside the operator's own")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: { dir: string; json?: true }) => {
			await readConfig(dir);
			const tokens = (await Tokens.open(dir)).list();
			if (json) printJson(tokens);
			else if (tokens.length === 0) print("nobody has a token of their own");
			else print(tableOfTokens(tokens).join("\n"));
		});
	program
		.command("remove")
		.description("make a token worthless at once")
		.argument("<name>")
		.option(...DIR)
		.action(async (name: string, { dir }: { dir: string }) => {
			const headend = await HeadendClient.find(dir);
			await (headend?.removeToken(name) ??
				alone(dir, (tokens) => tokens.remove(name)));
			print(`the token of ${name} opens nothing any more`);
		});
}

/** Works on the tokens of a folder that no headend runs on. Throws OPERATOR_BUSY. */
async function alone<T>(
	dir: string,
	work: (tokens: Tokens) => Promise<T>,
): Promise<T> {
	const lock = await lockOperator(dir);
	try {
		return await work(await Tokens.open(dir));
	} finally {
		await lock.close();
	}
}

/** Reads `12h`, `7d`, or a date as ISO 8601 has it. */
function instant(text: string): Millis {
	const [, count, unit] = /^(\d{1,5})([hd])$/.exec(text) ?? [];
	if (count !== undefined)
		return Math.max(
			0,
			Date.now() - Number(count) * (unit === "h" ? HOUR : DAY),
		);
	const at = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
	if (at >= 0) return at;
	throw new InvalidArgumentError("It takes 12h, 7d, or a date: 2026-03-01.");
}

function tableOfTokens(tokens: readonly TokenView[]): string[] {
	const head = ["name", "role", "since"].map((name) => tint("faint", name));
	return table([
		head,
		...tokens.map(({ name, role, createdAt }) => [name, role, time(createdAt)]),
	]);
}

function tableOfEntries(entries: readonly Entry[]): string[] {
	const head = ["when", "who", "from", "what", "of", "outcome", "why"];
	return table([
		head.map((name) => tint("faint", name)),
		...entries.map((entry) => [
			time(entry.at),
			entry.who,
			entry.address ?? "",
			entry.action,
			subjectOf(entry),
			outcomeOf(entry),
			entry.why ?? "",
		]),
	]);
}

function subjectOf({ subject }: Entry): string {
	if (subject === null) return "";
	return isBoxId(subject) || isTitleId(subject) ? short(subject) : subject;
}

function outcomeOf({ outcome, code }: Entry): string {
	if (outcome === null) return tint("warn", "not known");
	return outcome === "done" ? "done" : tint("bad", `failed: ${code}`);
}

/** Local time, to the second. */
function time(at: Millis): string {
	return new Date(at).toLocaleString("sv-SE");
}
