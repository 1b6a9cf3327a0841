import type { Command } from "commander";
import { HeadendClient } from "../headend/api/client.ts";
import { short } from "../wire/ids.ts";
import { BOX, findBox, findTitle, TITLE } from "./find.ts";
import { DIR } from "./folder.ts";
import { print, printJson, table, tint } from "./output.ts";

interface RuleOptions {
	readonly dir: string;
	readonly box?: string;
	readonly why?: string;
}

const RULES = {
	allow: "let boxes have a title's key",
	deny: "keep a title's key from boxes, and take it back from those that have it",
	unset: "take a rule away: the mode in operator.toml counts again",
} as const;

/** The commands that say who may play what, and that forget who did. */
export function addEntitleCommands(program: Command): void {
	const entitle = program
		.command("entitle")
		.description("who may play what, beside the mode in operator.toml");
	for (const rule of ["allow", "deny", "unset"] as const)
		entitle
			.command(rule)
			.description(RULES[rule])
			.argument(...TITLE)
			.option("--box <box>", "for this box only; it counts before the others")
			.option("--why <reason>", "kept in the audit log")
			.option(...DIR)
			.action(async (text: string, { dir, box, why }: RuleOptions) => {
				const headend = await HeadendClient.open(dir);
				const title = findTitle(await headend.titles(), text);
				const one = box && findBox(await headend.boxes(), box);
				const told = await headend.entitle(
					rule,
					title.id,
					one ? one.id : undefined,
					why,
				);
				const whom = one ? one.serial : "every box without a rule of its own";
				print(`${title.name} (${short(title.id)}): ${rule} for ${whom}`);
				if (told > 0)
					print(`${told} to forget the key now, or as soon as they are back`);
			});
	entitle
		.command("list")
		.description("the rules, newest first")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: { dir: string; json?: true }) => {
			const headend = await HeadendClient.open(dir);
			const rules = await headend.rules();
			if (json) return printJson(rules);
			if (rules.length === 0) return print("no rules: the mode counts");
			const boxes = await headend.boxes();
			const serials = new Map(boxes.map(({ id, serial }) => [id, serial]));
			const head = ["title", "box", "rule"].map((name) => tint("faint", name));
			const rows = rules.map(({ title, box, rule }) => [
				short(title),
				box === null ? "every" : (serials.get(box) ?? short(box)),
				tint(rule === "allow" ? "good" : "bad", rule),
			]);
			print(table([head, ...rows]).join("\n"));
		});
	program
		.command("forget")
		.description("erase which titles a box was given keys for")
		.argument(...BOX)
		.option("--why <reason>", "kept in the audit log")
		.option(...DIR)
		.action(async (text: string, { dir, why }: RuleOptions) => {
			const headend = await HeadendClient.open(dir);
			const { id, serial } = findBox(await headend.boxes(), text);
			const erased = await headend.forget(id, why);
			print(`${serial} (${short(id)}): ${erased} erased`);
		});
}
