import { Argument, type Command, InvalidArgumentError } from "commander";
import { limit } from "../agent/reader.ts";
import type { Limit } from "../base/units.ts";
import type { Activity } from "../wire/ipc.ts";
import { whole } from "./argument.ts";
import { type AskOptions, askCommand, socketOf } from "./asking.ts";
import { drainHousehold, tellHousehold } from "./household.ts";

interface LimitOptions extends AskOptions {
	readonly up?: Limit;
	readonly upActive?: Limit;
}

/** What a household tells its box. */
export function addHouseholdCommands(program: Command): void {
	const add = (name: string, description: string) =>
		askCommand(program, name, description).option(
			"--json",
			"print the raw result",
		);
	const optionsOf = async (options: AskOptions) => ({
		socket: await socketOf(options),
		json: options.json ?? false,
	});
	add(
		"activity",
		"tell the running agent what the household does: while it watches or records, the uplink is its own",
	)
		.addArgument(
			new Argument("<activity>")
				.choices(["live", "recording", "idle"])
				.argRequired(),
		)
		.action(async (activity: Activity, options: AskOptions) => {
			await tellHousehold(await optionsOf(options), `activity-${activity}`);
		});
	add("pause", "give and fill nothing for a while, or until `larder resume`")
		.argument(
			"[minutes]",
			"how long; without it until resumed",
			whole(1, 10_080),
		)
		.action(async (minutes: number | undefined, options: AskOptions) => {
			const params = minutes === undefined ? {} : { minutes };
			await tellHousehold(await optionsOf(options), "pause", params);
		});
	add("resume", "end a pause").action(async (options: AskOptions) => {
		await tellHousehold(await optionsOf(options), "resume");
	});
	add(
		"limits",
		"show what neighbours are given at most, or set it, within what the operator has set",
	)
		.option("--up <rate>", "in all: 2 Mbit/s; 0 for the operator's", readLimit)
		.option(
			"--up-active <rate>",
			"while the household watches or records: a rate, none, or 0 for the operator's",
			readLimit,
		)
		.action(async ({ up, upActive, ...options }: LimitOptions) => {
			const params = { up, upActive };
			await tellHousehold(await optionsOf(options), "limits", params);
		});
	add(
		"opt-out",
		"take no part: give and fill nothing; the operator sees it and places nothing on this box",
	).action(async (options: AskOptions) => {
		await tellHousehold(await optionsOf(options), "opt-out");
	});
	add(
		"drain",
		"hand on what is on this box to others, then take no part; goes on when this command is ended",
	).action(async (options: AskOptions) => {
		await drainHousehold(await optionsOf(options));
	});
	add("opt-in", "take part again").action(async (options: AskOptions) => {
		await tellHousehold(await optionsOf(options), "opt-in");
	});
}

function readLimit(text: string): Limit {
	const read = limit(text);
	if (read.ok) return read.value;
	throw new InvalidArgumentError(`It ${read.detail}.`);
}
