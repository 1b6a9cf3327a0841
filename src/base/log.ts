import { createHmac, randomBytes } from "node:crypto";
import { pino } from "pino";
import pretty from "pino-pretty";
import type { Recent } from "./recent.ts";

export const LOG_LEVELS = [
	"trace",
	"debug",
	"info",
	"warn",
	"error",
	"fatal",
] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A structured log. Title names and keys never go into it; ids of boxes are shortened by the caller. */
export interface Log {
	level: string;
	trace(fields: object, message: string): void;
	debug(fields: object, message: string): void;
	info(fields: object, message: string): void;
	warn(fields: object, message: string): void;
	error(fields: object, message: string): void;
	fatal(fields: object, message: string): void;
	child(fields: Record<string, unknown>): Log;
}

/** New in every process: what a log names cannot be found out from another one. */
const secret = randomBytes(32);

/** Whole ids but those of boxes become names that hold as long as the process lives. They come in paths and errors, too, and say what somebody watched. */
function veil(line: string): string {
	return line.replace(/(?<!"box":")[0-9a-f]{64}/g, (id) => {
		const name = createHmac("sha256", secret).update(id).digest("hex");
		return `~${name.slice(0, 8)}`;
	});
}

export interface LogOptions {
	/** Whether whoever reads it is not to learn which titles it is about. */
	readonly veiled?: boolean;
	/** Keeps the last lines, as they are written. */
	readonly recent?: Recent;
	readonly terminal?: boolean;
}

/** Human-readable on a terminal, one JSON object a line elsewhere; always on standard error. */
export function createLog(
	name: string,
	level: LogLevel,
	options: LogOptions = {},
): Log {
	const { veiled = false, recent } = options;
	const { terminal = process.stderr.isTTY === true } = options;
	const sink = terminal
		? pretty({
				destination: 2,
				sync: true,
				ignore: "pid,hostname",
				translateTime: "HH:MM:ss.l",
			})
		: pino.destination({ fd: 2, sync: true });
	const streamWrite = (line: string) => {
		const said = veiled ? veil(line) : line;
		recent?.add(said);
		return said;
	};
	const hooks = veiled || recent !== undefined ? { streamWrite } : {};
	return pino({ name, level, base: { name }, hooks }, sink);
}

/** A log that says nothing, for code that runs without one. */
export const silent: Log = {
	level: "silent",
	trace() {},
	debug() {},
	info() {},
	warn() {},
	error() {},
	fatal() {},
	child: () => silent,
};
