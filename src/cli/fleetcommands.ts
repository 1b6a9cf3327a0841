import { Argument, type Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { LOG_LEVELS, type LogLevel } from "../base/log.ts";
import { formatBytes } from "../base/units.ts";
import { HeadendClient } from "../headend/api/client.ts";
import type { BoxView } from "../headend/fleet/views.ts";
import { short } from "../wire/ids.ts";
import { BOX, findBox } from "./find.ts";
import { DIR } from "./folder.ts";
import { formatSpan, plural, print, printJson, table, tint } from "./output.ts";
import { warnOfReload } from "./reload.ts";
import type { AskBox } from "./support.ts";

interface RevokeOptions {
	readonly dir: string;
	readonly why: string;
	readonly undo?: true;
}

/** The commands that ask a running headend about its boxes. */
export function addFleetCommands(program: Command): void {
	program
		.command("boxes")
		.description("the boxes: who is there, how full, and what they last said")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: { dir: string; json?: true }) => {
			const headend = await HeadendClient.open(dir);
			const boxes = await headend.boxes();
			if (json) printJson(boxes);
			else if (boxes.length === 0) print("no box has reported yet");
			else print(tableOfBoxes(boxes, Date.now()).join("\n"));
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

function tableOfBoxes(boxes: readonly BoxView[], now: number): string[] {
	const head = [
		...["box", "serial", "state", "fill", "held", "placed"],
		...["used", "room", "neighbours", "version"],
		"said",
	].map((name) => tint("faint", name));
	return table(
		[head, ...boxes.map((box) => row(box, now))],
		[3, 4, 5, 6, 7, 8],
	);
}

function row(box: BoxView, now: number): string[] {
	const size = (bytes: number | null) =>
		bytes === null ? "–" : formatBytes(bytes);
	return [
		short(box.id),
		box.serial,
		stateOf(box, now),
		fillOf(box),
		size(box.held),
		size(box.placed),
		size(box.used),
		size(box.capacity),
		box.neighbours === null ? "–" : String(box.neighbours),
		box.version ?? "–",
		box.revoked
			? (box.revokedWhy ?? "")
			: [box.phase ?? "", box.code ?? ""].join(" ").trim(),
	];
}

function stateOf(box: BoxView, now: number): string {
	if (box.revoked) return tint("bad", "revoked");
	if (!box.online)
		return tint("warn", `away ${formatSpan(now - box.turnedAt)}`);
	if (box.part === "out") return tint("warn", "opted out");
	if (box.part === "draining") return tint("warn", "draining");
	if (box.reach === "none") return tint("warn", "cannot be reached");
	return tint("good", box.power === "standby" ? "standby" : "online");
}

/** Never 100 unless it is. */
function fillOf({ held, placed }: BoxView): string {
	if (held === null || placed === null || placed === 0) return "–";
	return `${Math.floor((100 * held) / placed)} %`;
}
