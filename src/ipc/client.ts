import { ERRORS, type ErrorCode, LarderError } from "../base/errors.ts";
import type { Millis } from "../base/units.ts";
import { type IpcMethod, type IpcReply, ipcReply } from "../wire/ipc.ts";
import { parseMessage } from "../wire/json.ts";
import { Frames } from "./frames.ts";
import { createHub } from "./hub.ts";

const AGENT = "agent";
const REQUEST_ID = 1;

/**
 * Asks a running agent one thing. The result is as the agent sent it: read it against the method's schema.
 * Throws IPC_UNREACHABLE when there is no answer within `timeout`, or else the error that the agent answered with.
 */
export async function callIpc(
	socket: string,
	method: IpcMethod,
	timeout: Millis,
	params?: unknown,
): Promise<unknown> {
	const reply = await exchange(socket, method, timeout, params);
	if (reply.ok) return reply.result;
	throw new LarderError(
		isErrorCode(reply.code) ? reply.code : "COMMAND_FAILED",
		reply.message,
	);
}

async function exchange(
	socket: string,
	method: IpcMethod,
	timeout: Millis,
	params: unknown,
): Promise<IpcReply> {
	const hub = createHub();
	const frames = new Frames();
	let timer: NodeJS.Timeout | undefined;
	try {
		return await new Promise((resolve, reject) => {
			const fail = (message: string, cause?: unknown) =>
				reject(
					new LarderError(
						"IPC_UNREACHABLE",
						message,
						cause === undefined ? undefined : { cause },
					),
				);
			timer = setTimeout(
				() =>
					fail(`the agent at ${socket} did not answer within ${timeout} ms`),
				timeout,
			);
			hub.connectTo(AGENT, socket);
			const agent = hub.of[AGENT];
			agent?.on("connect", () =>
				agent.emit(`${JSON.stringify({ id: REQUEST_ID, method, params })}\n`),
			);
			agent?.on("error", (cause) =>
				fail(`no agent answers at ${socket}`, cause),
			);
			agent?.on("disconnect", () =>
				fail(`the agent at ${socket} hung up without an answer`),
			);
			agent?.on("data", (bytes) => {
				const [line] = frames.push(bytes);
				if (frames.overflowed) fail(`the answer from ${socket} is too long`);
				if (line === undefined) return;
				const reply = parseMessage(ipcReply, line);
				if (reply.ok) resolve(reply.value);
				else
					fail(
						`no agent speaks at ${socket}: ${reply.reason}, ${reply.detail}`,
					);
			});
		});
	} finally {
		clearTimeout(timer);
		hub.disconnect(AGENT);
	}
}

function isErrorCode(code: string): code is ErrorCode {
	return Object.hasOwn(ERRORS, code);
}
