import type * as z from "zod/mini";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { callIpc } from "../ipc/client.ts";
import {
	type IpcMethod,
	metrics,
	type PowerState,
	playerToken,
	power,
} from "../wire/ipc.ts";
import { parseValue } from "../wire/json.ts";
import { print, printJson } from "./output.ts";

const PATIENCE = 5 * SECOND;

/** An agent's answer: as it came, for programs, and as this version of Larder reads it. */
export interface Answer<T> {
	readonly raw: unknown;
	readonly value: T;
}

interface AskSettings {
	readonly patience?: Millis;
	/** What the method takes. */
	readonly params?: unknown;
}

/** Asks the running agent. Throws IPC_UNREACHABLE when none answers, COMMAND_FAILED when it is of another mind about the answer. */
export async function ask<T extends z.ZodMiniType>(
	socket: string,
	method: IpcMethod,
	schema: T,
	{ patience = PATIENCE, params }: AskSettings = {},
): Promise<Answer<z.output<T>>> {
	const raw = await callIpc(socket, method, patience, params);
	const read = parseValue(schema, raw);
	if (read.ok) return { raw, value: read.value };
	throw new LarderError(
		"COMMAND_FAILED",
		`the agent's answer to ${method} does not fit this version of larder: ${read.detail}`,
	);
}

/** Prints the agent's figures as Prometheus reads them. */
export async function metricsCommand(socket: string): Promise<void> {
	const { value } = await ask(socket, "metrics", metrics);
	print(value.text.trimEnd());
}

/** Tells the agent how the receiver's power stands. */
export async function powerCommand(options: {
	readonly socket: string;
	readonly state: PowerState["power"];
	readonly json: boolean;
}): Promise<void> {
	const { socket, state, json } = options;
	const { raw, value } = await ask(socket, `power-${state}`, power);
	if (json) printJson(raw);
	else print(value.power);
}

/** Prints what a player's addresses start with, the token in it. */
export async function playerTokenCommand(options: {
	readonly socket: string;
	readonly json: boolean;
}): Promise<void> {
	const { raw, value } = await ask(options.socket, "player-token", playerToken);
	if (options.json) printJson(raw);
	else print(value.base);
}
