import type { Command } from "commander";
import { LarderError } from "../base/errors.ts";
import { HeadendClient } from "../headend/api/client.ts";
import { type Place, place } from "../headend/fleet/groups.ts";
import { readPlaces } from "../headend/fleet/places.ts";
import { LEVELS } from "../wire/near.ts";
import { BOX, findBox } from "./find.ts";
import { DIR } from "./folder.ts";
import { plural, print } from "./output.ts";

interface GroupOptions {
	readonly dir: string;
	readonly levels?: string;
	readonly file?: string;
}

/** `larder boxes group`: where boxes are in the access tree. */
export function addGroupCommand(boxes: Command): void {
	boxes
		.command("group")
		.description(
			"say where boxes are in the access network, so that what is equally good comes from the nearest",
		)
		.argument("[box]", BOX[1])
		.option(
			"--levels <names>",
			`its groups, nearest first, at most ${LEVELS}: street7,node3,city1; none with ""`,
		)
		.option(
			"--file <csv>",
			"of a fleet, a line each: serial,street7,node3,city1; boxes need not have come yet",
		)
		.option(...DIR)
		.action(async (box: string | undefined, options: GroupOptions) => {
			const { dir, levels, file } = options;
			const isOne = box !== undefined && levels !== undefined;
			if (isOne === (file !== undefined))
				throw new LarderError(
					"REQUEST_INVALID",
					"give either a box with its --levels or a --file",
				);
			const fleet = file === undefined ? [] : await readPlaces(file);
			const headend = await HeadendClient.open(dir);
			const places = isOne
				? [placeOf(findBox(await headend.boxes(), box).serial, levels)]
				: fleet;
			const told = await headend.group(places);
			print(
				`${plural(places.length, "box has its place", "boxes have their places")}; ${plural(told, "box is", "boxes are")} told something new`,
			);
		});
}

/** Throws REQUEST_INVALID. */
function placeOf(serial: string, levels: string): Place {
	const names = levels.split(",").map((name) => name.trim());
	const read = place.safeParse({ serial, levels: levels === "" ? [] : names });
	if (read.success) return read.data;
	throw new LarderError(
		"REQUEST_INVALID",
		`--levels: at most ${LEVELS} names of up to 64 characters, nearest first`,
	);
}
