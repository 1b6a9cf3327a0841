import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { LarderError, systemCode } from "../base/errors.ts";

/**
 * Makes the folder of a socket (0750 if it is new) and clears away what a dead agent left there. Gives whether it is new.
 * Throws PORT_TAKEN when a live one answers, CONFIG_INVALID when the path is no place for a socket.
 */
export async function preparePlace(socket: string): Promise<boolean> {
	const folder = dirname(socket);
	let made: string | undefined;
	try {
		made = await mkdir(folder, { recursive: true, mode: 0o750 });
		// The umask may have taken bits away; a folder that was there before is its owner's affair.
		if (made !== undefined) await chmod(folder, 0o750);
	} catch (cause) {
		throw new LarderError(
			"CONFIG_INVALID",
			`ipc.socket: the folder ${folder} cannot be made`,
			{ cause },
		);
	}
	const isNew = made !== undefined;
	if (!(await exists(socket))) return isNew;
	if (await answers(socket)) {
		throw new LarderError(
			"PORT_TAKEN",
			`another agent already answers at ${socket}`,
		);
	}
	await unlink(socket);
	return isNew;
}

async function exists(socket: string): Promise<boolean> {
	try {
		const found = await lstat(socket);
		if (found.isSocket()) return true;
	} catch (error) {
		if (systemCode(error) === "ENOENT") return false;
		throw error;
	}
	throw new LarderError(
		"CONFIG_INVALID",
		`ipc.socket: ${socket} is there and is no socket`,
	);
}

/** Only a refusal says that nobody listens: a full queue or a lack of rights comes from a live agent. */
function answers(socket: string): Promise<boolean> {
	return new Promise((resolve) => {
		const probe = connect(socket);
		const settle = (live: boolean) => {
			probe.destroy();
			resolve(live);
		};
		probe.once("connect", () => settle(true));
		probe.once("error", (error) => {
			const code = systemCode(error);
			settle(code !== "ECONNREFUSED" && code !== "ENOENT");
		});
	});
}
