import { join } from "node:path";
import { Argument, type Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { HeadendClient } from "../headend/api/client.ts";
import type { KeysView } from "../headend/api/show.ts";
import type { Forgery } from "../headend/control/forgeries.ts";
import { oldPapers } from "../headend/fleet/inforce.ts";
import { ONLINE, type OnlinePurpose } from "../headend/operator/keyring.ts";
import { type KeyView, viewKey } from "../headend/operator/keyview.ts";
import { type Operator, openOperator } from "../headend/operator/operator.ts";
import {
	cosignPurges,
	retireKeys,
	rotateKey,
} from "../headend/operator/rotate.ts";
import { serverTroubles } from "../headend/tls/server.ts";
import { PURPOSES, type Purpose } from "../wire/envelope.ts";
import { isTitleId, short, type TitleId } from "../wire/ids.ts";
import { DIR } from "./folder.ts";
import { lookInto } from "./idle.ts";
import { print, printJson, table, tint } from "./output.ts";

const ROOT = [
	"--root <file>",
	"the root's key, wherever it is kept; keys/root.json of the folder unless given",
] as const;

interface Options {
	readonly dir: string;
	readonly root?: string;
}

/** The commands that look after the operator's keys. All but `list` need the root, which they read and nobody else does. */
export function addKeyCommands(program: Command): void {
	const keys = program
		.command("keys")
		.description("the keys of the operator: replace them, retire old ones");
	keys
		.command("list")
		.description("which key signs what, since when, and what it replaced")
		.option(...DIR)
		.option("--json", "print JSON")
		.action(async ({ dir, json }: { dir: string; json?: true }) => {
			const operator = await openOperator(dir);
			const listed = ONLINE.flatMap((purpose) =>
				viewKey(operator, operator.signers[purpose]),
			);
			const headend = await (await HeadendClient.find(dir))?.keys();
			const broker = await serverTroubles(operator);
			if (json) printJson({ keys: listed, headend: headend ?? null, broker });
			else
				for (const line of [...linesOf(listed, headend), ...broker])
					print(line);
		});
	keys
		.command("rotate")
		.description("put a new key in the place of one; it is believed at once")
		.addArgument(new Argument("<purpose>").choices(PURPOSES))
		.option(...ROOT)
		.option(...DIR)
		.action(async (purpose: Purpose, options: Options) => {
			const operator = await openOperator(options.dir);
			const { granted } = await rotateKey(operator, purpose, rootOf(options));
			print(
				`key ${short(granted.key)} signs for ${purpose}, serial ${granted.serial}; the one before is gone from here`,
			);
			if (purpose === "release") return;
			await takeUp(options.dir, `rotate ${purpose}`);
			print(
				`boxes still believe the key before: larder keys retire ${purpose}, once larder keys list shows nothing in force under it`,
			);
		});
	keys
		.command("retire")
		.description("have boxes believe the present key only")
		.addArgument(new Argument("<purpose>").choices(PURPOSES))
		.option("--force", "although boxes then lose what older keys signed")
		.option(...ROOT)
		.option(...DIR)
		.action(async (purpose: Purpose, options: Options & { force?: true }) => {
			const operator = await openOperator(options.dir);
			await retireKeys(operator, purpose, rootOf(options), {
				force: options.force ?? false,
				countOld: (which) => countOld(operator, which),
			});
			print(
				`boxes that hear of it believe the present key for ${purpose} only`,
			);
			await takeUp(options.dir, `retire ${purpose}`);
		});
	keys
		.command("cosign")
		.description("have the root vouch for purges beyond 20 a day")
		.argument("<title...>", "title ids, in full")
		.option(...ROOT)
		.option(...DIR)
		.action(async (titles: string[], options: Options) => {
			const ids = titles.map(titleOf);
			const operator = await openOperator(options.dir);
			const { purged } = await cosignPurges(operator, ids, rootOf(options));
			const count = purged.length === 1 ? "1 title" : `${purged.length} titles`;
			print(
				`the root vouches for ${count} in all, once larder purge orders it`,
			);
			await takeUp(options.dir, "cosign");
		});
}

function rootOf({ dir, root }: Options): string {
	return root ?? join(dir, "keys", "root.json");
}

function titleOf(text: string): TitleId {
	if (isTitleId(text)) return text;
	throw new LarderError("REQUEST_INVALID", `${text} is no title id`);
}

/** Has a headend that runs take up what is in keys/ now. */
async function takeUp(dir: string, what: string): Promise<void> {
	const headend = await HeadendClient.find(dir);
	if (headend === undefined) {
		print("no headend runs here: it counts from its next start");
		return;
	}
	const todo = await headend.takeKeys(what);
	print("the headend has taken it up");
	for (const each of todo) print(`next: ${each}`);
}

/** Asks the headend, or looks for itself where none runs. */
async function countOld(operator: Operator, purpose: Purpose): Promise<number> {
	const online = ONLINE.find((each) => each === purpose);
	// Nobody keeps a list of updates.
	if (online === undefined) return 0;
	const headend = await HeadendClient.find(operator.dir);
	if (headend !== undefined) {
		const { serials, old } = await headend.keys();
		if (serials[online] === operator.signers[online].granted.serial)
			return old[online];
		throw new LarderError("COMMAND_FAILED", isBehind(online));
	}
	return await lookInto(
		operator.dir,
		async (database) => (await oldPapers(operator, database))[online],
	);
}

function linesOf(
	keys: readonly KeyView[],
	headend: KeysView | undefined,
): string[] {
	const head = ["purpose", "serial", "key", "since", "until", "state"];
	const rows = keys.map((each) => [
		each.purpose,
		String(each.serial),
		short(each.key),
		day(each.since),
		day(each.until),
		stateOf(each),
	]);
	const lines = table([head.map((name) => tint("faint", name)), ...rows], [1]);
	if (headend === undefined)
		return [
			...lines,
			"no headend runs here, so nobody counts what is in force",
		];
	for (const purpose of ONLINE)
		lines.push(...aboutHeadend(purpose, keys, headend));
	if (headend.forgery !== null) lines.push(tint("bad", alarm(headend.forgery)));
	return lines;
}

function aboutHeadend(
	purpose: OnlinePurpose,
	keys: readonly KeyView[],
	{ serials, old }: KeysView,
): string[] {
	const lines: string[] = [];
	const current = keys.find((each) => each.purpose === purpose);
	if (current?.serial !== serials[purpose])
		lines.push(
			`the headend still signs with another ${purpose} key: restart it`,
		);
	if (old[purpose] > 0)
		lines.push(
			`in force under earlier ${purpose} keys: ${old[purpose]} ${KINDS[purpose]}`,
		);
	return lines;
}

function alarm({ serial, heardAt }: Forgery): string {
	return `somebody else signs with revoke key ${serial}, last heard ${new Date(heardAt).toLocaleString("sv-SE")}: larder keys rotate revoke, then larder keys retire revoke`;
}

function isBehind(purpose: OnlinePurpose): string {
	return `the headend still signs with another key for ${purpose}: restart it`;
}

const KINDS = {
	issuer:
		"memberships, the headend's own until its next start and the broker's certificate among them",
	catalog: "part of the head",
	placement: "placements and holder tables",
	revoke:
		"part of the head, or bans that were only heard of, which larder revoke and larder purge make your own",
} as const satisfies Record<OnlinePurpose, string>;

function stateOf({ state }: KeyView): string {
	if (state === "in-use") return "in use";
	if (state === "replaced") return tint("warn", "replaced, still believed");
	return state;
}

function day(at: number): string {
	return new Date(at).toISOString().slice(0, 10);
}
