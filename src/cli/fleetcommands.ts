import { Argument, type Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { LOG_LEVELS, type LogLevel } from "../base/log.ts";
import { HeadendClient } from "../headend/api/client.ts";
import { short } from "../wire/ids.ts";
import { boxRows, boxTable, concernTable } from "./boxes.ts";
import { BOX, findBox } from "./find.ts";
import { DIR } from "./folder.ts";
import { addGroupCommand } from "./groupcommand.ts";
import { plural, print, printJson, table, tint } from "./output.ts";
import { warnOfReload } from "./reload.ts";
import type { AskBox } from "./support.ts";

interface RevokeOptions {
	readonly dir: string;
	readonly why: string;
	readonly undo?: true;
}

/** The commands that ask a running headend about its boxes. */
export function addFleetCommands(program: Command): void {
	const boxes = program
		.command("boxes")
		.description("the boxes: who is there, how full, and what they last said")
		.argument("[box]", `all that is known of one: ${BOX[1]}`)
		.option(...DIR)
		.option("--json", "print JSON")
		.action(
			async (
				which: string | undefined,
				{ dir, json }: { dir: string; json?: true },
			) => {
				const headend = await HeadendClient.open(dir);
				const boxes = await headend.boxes();
				const now = Date.now();
				if (which !== undefined) {
					const box = findBox(boxes, which);
					if (json) printJson(box);
					else print(table(boxRows(box, now)).join("\n"));
				} else if (json) printJson(boxes);
				else if (boxes.length === 0) print("no box has reported yet");
				else print(boxTable(boxes, now).join("\n"));
			},
		);
	addGroupCommand(boxes);
	program
		.command("attention")
		.description("the boxes that need a person: why, since when, what to do")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: { dir: string; json?: true }) => {
			const headend = await HeadendClient.open(dir);
			const boxes = (await headend.boxes()).filter(
				({ concerns }) => concerns.length > 0,
			);
			if (json) printJson(boxes);
			else if (boxes.length === 0) print("no box needs anybody");
			else print(concernTable(boxes, Date.now()).join("\n"));
		});
	program
		.command("command")
		.description("have a box do something, and wait for its answer")
		.argument(...BOX)
		.addArgument(
			new Argument("<what>", "report its fill levels, or log more or less")
				.choices(["report", "log-level"])
				.argRequired(),
		)
		.addArgument(new Argument("[level]").choices(LOG_LEVELS))
		.option(...DIR)
		.action(
			async (
				box: string,
				what: "report" | "log-level",
				level: LogLevel | undefined,
				{ dir }: { dir: string },
			) => {
				if (what === "log-level" && level === undefined)
					throw new LarderError(
						"REQUEST_INVALID",
						`log-level takes one of ${LOG_LEVELS.join(", ")}`,
					);
				const headend = await HeadendClient.open(dir);
				const { id, serial } = findBox(await headend.boxes(), box);
				const body =
					level === undefined
						? { kind: "report" as const }
						: { kind: "log-level" as const, level };
				const { ok, code, detail } = await headend.command(id, body);
				if (!ok)
					throw new LarderError(
						"COMMAND_FAILED",
						`${serial} could not: ${detail ?? code ?? "no reason given"}`,
					);
				print(`${serial} (${short(id)}): done`);
			},
		);
	program
		.command("revoke")
		.description("shut a box out for good: no neighbour, key or placement")
		.argument(...BOX)
		.requiredOption("--why <reason>", "kept with the box and in the audit log")
		.option("--undo", "let it in again: it was a mistake")
		.option(...DIR)
		.action(async (box: string, options: RevokeOptions) => {
			const { dir, why, undo } = options;
			const headend = await HeadendClient.open(dir);
			const { id, serial } = findBox(await headend.boxes(), box);
			if (undo) {
				await headend.readmit(id, why);
				print(`${serial} (${short(id)}) is in again`);
				return;
			}
			await headend.revoke(id, why);
			print(`${serial} (${short(id)}) is shut out`);
			await warnOfReload(dir);
		});
	program
		.command("plan")
		.description("decide anew who holds what, now")
		.option(...DIR)
		.action(async ({ dir }: { dir: string }) => {
			const headend = await HeadendClient.open(dir);
			const plan = await headend.plan();
			const over = `${plural(plan.titles, "title", "titles")} over ${plural(plan.boxes, "box", "boxes")}`;
			const told =
				plan.told === 0
					? "nobody is told anything new"
					: `${plural(plan.told, "box is", "boxes are")} told something new`;
			print(`${over}: ${told}`);
			if (plan.missing > 0)
				print(
					`${tint("warn", `${plural(plan.missing, "copy", "copies")} of shards found no box:`)} the boxes are too few or too full`,
				);
		});
}

/** A support bundle of a box, by way of the headend; and the box's serial. */
export const askBox: AskBox = async (box, dir) => {
	const headend = await HeadendClient.open(dir);
	const { id, serial } = findBox(await headend.boxes(), box);
	return [serial.replaceAll(/[^\w.-]/g, "_"), await headend.support(id)];
};
