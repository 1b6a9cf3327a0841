import { type Command, Option } from "commander";
import { LarderError } from "../base/errors.ts";
import { HeadendClient } from "../headend/api/client.ts";
import { shutOutIn } from "../headend/fleet/bans.ts";
import { boxConfig, INSTALLED } from "../headend/operator/boxconfig.ts";
import { issueBox } from "../headend/operator/issue.ts";
import { openOperator } from "../headend/operator/operator.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { DIR } from "./folder.ts";
import { lookInto } from "./idle.ts";
import { print } from "./output.ts";
import { warnOfReload } from "./reload.ts";

interface Options {
	readonly reach: "direct" | "nat";
	readonly quota?: string;
	readonly dir: string;
}

interface IssueOptions extends Options {
	readonly serial: string;
	readonly replace?: true;
}

const QUOTA = [
	"--quota <size>",
	'disk for titles: "20 GiB", or "50%" of the disk',
] as const;

function reach(): Option {
	return new Option(
		"--reach <how>",
		"a routed network, or home gateways between",
	)
		.choices(["direct", "nat"])
		.default("direct");
}

/** The commands that make boxes, or what boxes need that make their own identity. */
export function addIssueCommands(program: Command): void {
	program
		.command("issue")
		.description("make the identity and configuration of one box")
		.argument("<folder>", "the new box's folder")
		.requiredOption("--serial <serial>", "the receiver's serial number")
		.addOption(reach())
		.option(...QUOTA)
		.option("--replace", "shut out the box that has the serial")
		.option(...DIR)
		.action(async (folder: string, options: IssueOptions) => {
			const { dir, replace, ...settings } = options;
			const operator = await openOperator(dir);
			const box = await issueBox(operator, {
				...{ ...settings, dir: folder },
				makeWay: async (others, box) => {
					const live = await livingOf(dir, others);
					const why = `${settings.serial} was given to ${short(box)}`;
					if (live.length > 0) await shutOut(dir, live, why, replace ?? false);
				},
			});
			print(
				`box ${short(box)} in ${folder}: larder agent -c ${folder}/larder.toml`,
			);
		});
	program
		.command("box-config")
		.description("print a larder.toml for boxes that enrol, for their image")
		.addOption(reach())
		.option(...QUOTA)
		.option(...DIR)
		.action(async (options: Options) => {
			const { dir, ...settings } = options;
			const { config } = await openOperator(dir);
			process.stdout.write(boxConfig(config, { ...INSTALLED, ...settings }));
		});
}

/** Those that are not shut out. */
async function livingOf(
	dir: string,
	boxes: readonly BoxId[],
): Promise<readonly BoxId[]> {
	const headend = await HeadendClient.find(dir);
	const listed = (await headend?.boxes())?.filter(({ revoked }) => revoked);
	const out = new Set(
		listed?.map(({ id }) => id) ?? (await lookInto(dir, shutOutIn)),
	);
	return boxes.filter((box) => !out.has(box));
}

async function shutOut(
	dir: string,
	boxes: readonly BoxId[],
	why: string,
	isMeant: boolean,
): Promise<void> {
	const names = boxes.map(short).join(", ");
	if (!isMeant)
		throw new LarderError(
			"REQUEST_INVALID",
			`box ${names} has that serial, and is in: --replace shuts it out`,
		);
	const headend = await HeadendClient.open(dir);
	for (const box of boxes) await headend.revoke(box, why);
	print(`box ${names} is shut out`);
	await warnOfReload(dir);
}
