import { chmod, constants, lstat, mkdir, stat, unlink } from "node:fs/promises";
import { connect } from "node:net";
import { dirname } from "node:path";
import { LarderError, systemCode } from "../base/errors.ts";

const STICKY = 0o1000;

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
	if (!isNew && isOpenToAll((await stat(folder)).mode)) {
		throw new LarderError(
			"CONFIG_INVALID",
			`ipc.socket: anybody may write to the folder ${folder}, and put another socket there`,
		);
	}
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

/** Whether anybody may remove what is not theirs; in a folder like /tmp they may not. */
function isOpenToAll(mode: number): boolean {
	return (mode & constants.S_IWOTH) !== 0 && (mode & STICKY) === 0;
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
