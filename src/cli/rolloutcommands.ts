import { type Command, InvalidArgumentError } from "commander";
import { parseSpan } from "../base/time.ts";
import { HeadendClient } from "../headend/api/client.ts";
import type { Wanted } from "../headend/rollout/rollouts.ts";
import type { Failure, RolloutView } from "../headend/rollout/view.ts";
import { DIR } from "./folder.ts";
import { formatSpan, plural, print, printJson, tint } from "./output.ts";

interface Options {
	readonly dir: string;
	readonly why?: string;
	readonly json?: true;
}

/** The commands that bring a published release to the boxes. */
export function addRolloutCommands(program: Command): void {
	const rollout = program
		.command("rollout")
		.description("bring a published release to the boxes, wave by wave");
	rollout
		.command("start")
		.description("begin; it goes on by itself, and pauses when too many fail")
		.argument("<version>", "as it was signed and published")
		.option("--waves <shares>", "of all boxes, rising", waves, [
			...[0.01, 0.1, 0.5, 1],
		])
		.option(
			"--abort-at <share>",
			"it pauses when more of those that answered fail",
			share,
			0.02,
		)
		.option(
			"--soak <span>",
			"how long a wave is watched before the next",
			span,
			3_600_000,
		)
		.option(...DIR)
		.action(
			async (version: string, options: Omit<Wanted, "version"> & Options) => {
				const { dir, waves, abortAt, soak } = options;
				const headend = await HeadendClient.open(dir);
				await headend.startRollout({ version, waves, abortAt, soak });
				print(`${version} is on its way: larder rollout status`);
			},
		);
	rollout
		.command("status")
		.description("how far releases have come, newest last")
		.option("--json", "print JSON")
		.option(...DIR)
		.action(async ({ dir, json }: Options) => {
			const views = await (await HeadendClient.open(dir)).rollouts();
			if (json) printJson(views);
			else if (views.length === 0) print("nothing was rolled out yet");
			else
				for (const view of views.toReversed())
					print(linesOf(view, Date.now()).join("\n"));
		});
	for (const [what, description, done] of CHANGES)
		rollout
			.command(what)
			.description(description)
			.option("--why <reason>", "kept in the audit log")
			.option(...DIR)
			.action(async ({ dir, why }: Options) => {
				const headend = await HeadendClient.open(dir);
				await headend.changeRollout(what, why);
				print(done);
			});
}

const CHANGES = [
	["pause", "tell no more boxes", "no more boxes are told"],
	["resume", "go on; what has failed is forgiven", "it goes on"],
	[
		"abort",
		"end it for good; boxes that have the release keep it",
		"it is ended; larder rollout start begins another",
	],
] as const;

function linesOf(view: RolloutView, now: number): string[] {
	const { version, state, wave, waves, done, failed, why } = view;
	const tone = state === "paused" ? "bad" : state === "done" ? "good" : "warn";
	const since = formatSpan(now - view.startedAt);
	const lines = [
		`${version}: ${tint(tone, state)}${why === null ? "" : `, ${why}`}; begun ${since} ago`,
		`  wave ${wave + 1} of ${waves.length} (${percent(waves[wave])}): ${view.members} of ${plural(view.boxes, "box", "boxes")}`,
		`  have it ${done}, failed ${failed}, on trial ${view.trial}, fetching ${view.fetching}, not begun ${view.waiting}, away ${view.away}`,
	];
	if (state === "running" && view.settledAt !== null)
		lines.push(
			`  all that are there have answered; watched for ${formatSpan(view.settledAt + view.soak - now)} more`,
		);
	for (const failure of view.failures) lines.push(`  ${inWords(failure)}`);
	return lines;
}

function inWords({ code, detail, boxes, serials }: Failure): string {
	const more =
		boxes > serials.length ? ` and ${boxes - serials.length} more` : "";
	const why = [code ?? "failed", detail].filter((it) => it !== null);
	return `${tint("bad", serials.join(", "))}${more}: ${why.join(", ")}`;
}

function percent(value = 0): string {
	return `${Math.round(value * 10_000) / 100} %`;
}

/** `2%`, or 0.02. */
function share(text: string): number {
	const [, figure, sign] = /^(\d+(?:\.\d+)?)\s*(%?)$/.exec(text.trim()) ?? [];
	const value = Number(figure) / (sign === "%" ? 100 : 1);
	if (value >= 0 && value <= 1) return value;
	throw new InvalidArgumentError("It takes a share such as 2%.");
}

function waves(text: string): number[] {
	const shares = text.split(",").map(share);
	if (shares.every((each, i) => each > (shares[i - 1] ?? 0))) return shares;
	throw new InvalidArgumentError("It takes rising shares such as 1%,10%,100%.");
}

function span(text: string): number {
	const value = parseSpan(text);
	if (value !== undefined) return value;
	throw new InvalidArgumentError("It takes a span such as 1 h or 30 min.");
}
