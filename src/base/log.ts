import { pino } from "pino";
import pretty from "pino-pretty";

export const LOG_LEVELS = [
	"trace",
	"debug",
	"info",
	"warn",
	"error",
	"fatal",
] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A structured log. Title names and keys never go into it; ids are shortened by the caller where they can be. */
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

/** Human-readable on a terminal, one JSON object a line elsewhere; always on standard error. */
export function createLog(
	name: string,
	level: LogLevel,
	terminal = process.stderr.isTTY === true,
): Log {
	const sink = terminal
		? pretty({
				destination: 2,
				sync: true,
				ignore: "pid,hostname",
				translateTime: "HH:MM:ss.l",
			})
		: pino.destination({ fd: 2, sync: true });
	return pino({ name, level, base: { name } }, sink);
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
