import type { Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { HeadendClient } from "../headend/api/client.ts";
import type { EnrolmentView } from "../headend/enrol/enrolment.ts";
import type { Enrolment } from "../headend/enrol/requests.ts";
import { readSerials } from "../headend/enrol/serials.ts";
import { short } from "../wire/ids.ts";
import { addFactoryCommands } from "./factorycommands.ts";
import { DIR } from "./folder.ts";
import { formatSpan, plural, print, printJson, table, tint } from "./output.ts";

interface Options {
	readonly dir: string;
	readonly json?: true;
}

const BOX = [
	"<box>",
	"serial number, or the beginning of the id as `larder enrol list` prints it",
] as const;

/** The commands by which flashed boxes become members. */
export function addEnrolCommands(program: Command): void {
	const enrol = program
		.command("enrol")
		.description("how boxes that the factory flashed are let in");
	addFactoryCommands(enrol);
	addQueueCommands(enrol);
}

/** What asks a running headend. */
function addQueueCommands(enrol: Command): void {
	enrol
		.command("list")
		.description("boxes that wait to be let in, and those decided last")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: Options) => {
			const headend = await HeadendClient.open(dir);
			const enrolments = await headend.enrolments();
			if (json) printJson(enrolments);
			else if (enrolments.length === 0) print("no box has asked");
			else print(tableOfEnrolments(enrolments, Date.now()).join("\n"));
		});
	enrol
		.command("approve")
		.description(
			"let a box in; a live box that has its serial number is shut out",
		)
		.argument(...BOX)
		.option(...DIR)
		.action(async (text: string, { dir }: Options) => {
			const headend = await HeadendClient.open(dir);
			const { box, serial } = findWaiting(await headend.enrolments(), text);
			const revoked = await headend.approve(box);
			print(`${serial} (${short(box)}) is let in`);
			for (const other of revoked)
				print(`${short(other)}, which had its serial number, is shut out`);
		});
	enrol
		.command("reject")
		.description("turn away a box, or all of a batch that wait")
		.argument("[box]", BOX[1])
		.option("--batch <name>", "all that wait of this batch")
		.requiredOption("--why <reason>", "kept with it and in the audit log")
		.option(...DIR)
		.action(
			async (
				text: string | undefined,
				{
					dir,
					batch,
					why,
				}: Options & { readonly batch?: string; readonly why: string },
			) => {
				if ((text === undefined) === (batch === undefined))
					throw new LarderError(
						"REQUEST_INVALID",
						"name either a box or a --batch",
					);
				const headend = await HeadendClient.open(dir);
				if (batch !== undefined) {
					const count = await headend.reject({ batch }, why);
					print(`${plural(count, "box is", "boxes are")} turned away`);
					return;
				}
				const waiting = findWaiting(await headend.enrolments(), text ?? "");
				await headend.reject({ box: waiting.box }, why);
				print(`${waiting.serial} (${short(waiting.box)}) is turned away`);
			},
		);
	enrol
		.command("auto")
		.description("let boxes of an inventory in without a person")
		.option(
			"--inventory <file>",
			"the serial numbers that may come, as for claims; replaces the last",
		)
		.option("--off", "let nobody in without a person")
		.option(...DIR)
		.action(
			async ({
				dir,
				inventory,
				off,
			}: Options & { readonly inventory?: string; readonly off?: true }) => {
				if ((inventory === undefined) === (off === undefined))
					throw new LarderError(
						"REQUEST_INVALID",
						"give either an --inventory or --off",
					);
				const serials =
					inventory === undefined ? [] : await readSerials(inventory);
				const headend = await HeadendClient.open(dir);
				await headend.takeStock(serials);
				print(autoIn({ inventory: serials.length }));
			},
		);
	enrol
		.command("status")
		.description("who waits, who is let in at once, and what was refused")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: Options) => {
			const headend = await HeadendClient.open(dir);
			const view = await headend.enrolment();
			if (json) printJson(view);
			else print(linesOf(view).join("\n"));
		});
}

/** The one that waits under that serial, or whose id begins so. Throws ENROLMENT_CHANGED. */
function findWaiting(all: readonly Enrolment[], text: string): Enrolment {
	const waiting = all.filter(({ state }) => state === "waiting");
	const bySerial = waiting.filter(({ serial }) => serial === text);
	const byId = waiting.filter(({ box }) => box.startsWith(text.toLowerCase()));
	const [found, other] = bySerial.length > 0 ? bySerial : byId;
	if (found === undefined || text === "")
		throw new LarderError("ENROLMENT_CHANGED", `nobody waits as "${text}"`);
	if (other === undefined) return found;
	throw new LarderError(
		"ENROLMENT_CHANGED",
		`several are "${text}": give more of the id`,
	);
}

const WHY: Readonly<Record<string, string>> = {
	"serial-live": "another box with this serial number is in",
	contested: "another box asks for the same serial number",
	"shared-claim": "its claim is one that many know",
	manual: "nobody is let in without a person",
	"not-in-inventory": "the inventory has no such serial number",
};

function tableOfEnrolments(all: readonly Enrolment[], now: number): string[] {
	const head = ["box", "serial", "batch", "state", "asked", "why"];
	return table([
		head.map((name) => tint("faint", name)),
		...all.map((it) => [
			short(it.box),
			it.serial,
			it.batch,
			stateOf(it),
			`${formatSpan(now - it.seenAt)} ago`,
			it.state === "waiting" ? (WHY[it.why] ?? it.why) : it.why,
		]),
	]);
}

function stateOf({ state, why }: Enrolment): string {
	if (state === "issued") return tint("good", "let in");
	if (state === "rejected") return tint("bad", "turned away");
	const grave = why === "serial-live" || why === "contested";
	return tint(grave ? "bad" : "warn", "waits");
}

function linesOf(view: EnrolmentView): string[] {
	const { listener, waiting, dropped } = view;
	const refused = Object.entries(dropped).map(
		([slug, count]) => `${slug} ${count}`,
	);
	return [
		listener === null
			? tint("warn", "nowhere to enrol: operator.toml has no [enrol]")
			: listener.connected
				? tint("good", "boxes can enrol")
				: tint("bad", `the headend hears nobody: ${listener.trouble ?? ""}`),
		autoIn(view),
		waiting === 0
			? "nobody waits"
			: tint(
					"warn",
					`${plural(waiting, "box waits", "boxes wait")}: larder enrol list`,
				),
		refused.length === 0
			? "nothing was refused since the headend started"
			: `refused since the headend started: ${refused.join(", ")}`,
	];
}

function autoIn({ inventory }: Pick<EnrolmentView, "inventory">): string {
	return inventory === 0
		? "nobody is let in without a person"
		: `boxes with one of ${plural(inventory, "serial number", "serial numbers")} are let in at once, by claims of their own`;
}
