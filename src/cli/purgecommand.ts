import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { HeadendClient } from "../headend/api/client.ts";
import type { PurgeView, Straggler } from "../headend/fleet/stragglers.ts";
import { isTitleId, short, type TitleId } from "../wire/ids.ts";
import { DIR } from "./folder.ts";
import { formatSpan, print, printJson, table, tint } from "./output.ts";

interface Options {
	readonly dir: string;
	readonly why?: string;
	readonly undo?: true;
	readonly status?: true;
	readonly yes?: true;
	readonly json?: true;
}

/** A title, as far as a person names it. */
interface Named {
	readonly id: TitleId;
	readonly name: string | null;
	readonly assetId: string | null;
}

/** The command that takes titles back, and tells how far they are gone. */
export function addPurgeCommand(program: Command): void {
	program
		.command("purge")
		.description(
			"take a title back: hidden everywhere at once, deleted a day later",
		)
		.argument("[title]", "its asset id, or the beginning of its id")
		.option("--why <reason>", "kept with the title and in the audit log")
		.option("--undo", "give it back; within a day")
		.option("--status", "how far titles are gone, and from which boxes not")
		.option("--yes", "do not ask")
		.option("--json", "print JSON")
		.option(...DIR)
		.action(async (title: string | undefined, options: Options) => {
			const headend = await HeadendClient.open(options.dir);
			if (options.status) await tell(headend, title, options);
			else if (options.undo) await undo(headend, title, options);
			else await purge(headend, title, options);
		});
}

async function purge(
	headend: HeadendClient,
	text: string | undefined,
	options: Options,
): Promise<void> {
	const why = needed(options.why, "say --why: it is kept in the audit log");
	const title = find(await headend.titles(), text);
	await confirm(
		`${nameOf(title)} is hidden on every box at once, and deleted everywhere after a day.`,
		options,
	);
	await headend.purge(title.id, why);
	if (options.json) printJson((await headend.purges(title.id))[0]);
	else
		print(
			`${nameOf(title)} is taken back; for a day, larder purge --undo ${short(title.id)} gives it back`,
		);
}

async function undo(
	headend: HeadendClient,
	text: string | undefined,
	options: Options,
): Promise<void> {
	const why = needed(options.why, "say --why: it is kept in the audit log");
	const title = find(await headend.purges(), text);
	await headend.giveBack(title.id, why);
	if (options.json) printJson({ id: title.id, ok: true });
	else print(`${nameOf(title)} is given back`);
}

async function tell(
	headend: HeadendClient,
	text: string | undefined,
	{ json }: Options,
): Promise<void> {
	const all = await headend.purges();
	if (text === undefined) {
		if (json) printJson(all);
		else if (all.length === 0) print("nothing is taken back");
		else print(tableOfPurges(all).join("\n"));
		return;
	}
	const [view] = await headend.purges(find(all, text).id);
	if (view === undefined)
		throw new LarderError("TITLE_UNKNOWN", `"${text}" is not taken back`);
	if (json) printJson(view);
	else print(detail(view, Date.now()).join("\n"));
}

/** The title of that asset id, or the only one whose id begins so; a whole id need not be listed. Throws TITLE_UNKNOWN. */
function find(titles: readonly Named[], text = ""): Named {
	if (text === "")
		throw new LarderError("REQUEST_INVALID", "say which title is meant");
	const byAsset = titles.filter(({ assetId }) => assetId === text);
	const byId = titles.filter(({ id }) => id.startsWith(text.toLowerCase()));
	const found = byAsset.length > 0 ? byAsset : byId;
	const [title, other] = found;
	if (title === undefined) {
		if (isTitleId(text)) return { id: text, name: null, assetId: null };
		throw new LarderError("TITLE_UNKNOWN", `no title is "${text}"`);
	}
	if (other === undefined) return title;
	const ids = found.slice(0, 5).map(({ id }) => short(id));
	throw new LarderError(
		"TITLE_UNKNOWN",
		`${found.length} titles are "${text}" (${ids.join(", ")}): give more of the id`,
	);
}

/** Asks a person; a program has to say --yes. Throws REQUEST_INVALID when the answer is no. */
async function confirm(what: string, { yes }: Options): Promise<void> {
	if (yes) return;
	if (!stdin.isTTY || !stdout.isTTY)
		throw new LarderError("REQUEST_INVALID", `${what} Say --yes to go on`);
	const asking = createInterface({ input: stdin, output: stdout });
	try {
		const answer = await asking.question(`${what} Go on? [y/N] `);
		if (/^y(es)?$/i.test(answer.trim())) return;
	} finally {
		asking.close();
	}
	throw new LarderError("REQUEST_INVALID", "nothing was done");
}

function needed(text: string | undefined, otherwise: string): string {
	if (text !== undefined) return text;
	throw new LarderError("REQUEST_INVALID", otherwise);
}

function nameOf({ id, name }: Named): string {
	return name === null ? `title ${short(id)}` : `${name} (${short(id)})`;
}

function tableOfPurges(purges: readonly PurgeView[]): string[] {
	const head = [
		...["title", "asset", "taken back", "deleted", "hidden"],
		...["not yet", "faults", "why"],
	].map((name) => tint("faint", name));
	return table(
		[
			head,
			...purges.map((purge) => [
				short(purge.id),
				purge.assetId ?? "–",
				new Date(purge.at).toISOString().slice(0, 16).replace("T", " "),
				String(purge.deleted),
				String(purge.hidden),
				purge.waiting > 0 ? tint("warn", String(purge.waiting)) : "0",
				purge.faults > 0 ? tint("bad", String(purge.faults)) : "0",
				purge.why ?? "",
			]),
		],
		[3, 4, 5, 6],
	);
}

function detail(purge: PurgeView, now: number): string[] {
	const { deleted, hidden, waiting, faults } = purge;
	const counts = `deleted by ${deleted}, hidden by ${hidden}, not yet by ${waiting}, faults ${faults}`;
	const lines = [`${nameOf(purge)}: ${purge.why ?? "no reason known"}`, counts];
	if (purge.stragglers.length === 0) return lines;
	return [
		...lines,
		...table(
			purge.stragglers.map((straggler) => [
				short(straggler.box),
				straggler.serial,
				wordsFor(straggler),
				straggler.online
					? "online"
					: `last seen ${formatSpan(now - straggler.turnedAt)} ago`,
			]),
		),
	];
}

function wordsFor({ state }: Straggler): string {
	if (state === "fault")
		return tint("bad", "has it again after it had deleted it");
	if (state === "hidden") return "hidden";
	return tint("warn", "not yet");
}
