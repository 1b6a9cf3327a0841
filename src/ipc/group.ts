import { chown, readFile } from "node:fs/promises";
import { LarderError } from "../base/errors.ts";

const GROUPS = "/etc/group";

/**
 * Gives paths of this user to a group, named as in /etc/group or by its number.
 * Throws CONFIG_INVALID when there is no such group or this user may not do that.
 */
export async function giveToGroup(
	group: string,
	paths: readonly string[],
): Promise<void> {
	const id = /^\d+$/.test(group)
		? Number(group)
		: numberOf(group, await readFile(GROUPS, "utf8"));
	if (id === undefined) {
		throw new LarderError(
			"CONFIG_INVALID",
			`ipc.group: ${GROUPS} has no group ${group}`,
		);
	}
	try {
		for (const path of paths) await chown(path, -1, id);
	} catch (cause) {
		throw new LarderError(
			"CONFIG_INVALID",
			`ipc.group: the agent's user is not in the group ${group}`,
			{ cause },
		);
	}
}

/** @param groups lines of `name:password:number:members` */
function numberOf(group: string, groups: string): number | undefined {
	const rows = groups.split("\n").map((line) => line.split(":"));
	const found = rows.find(([name]) => name === group)?.[2];
	return found === undefined ? undefined : Number(found);
}
