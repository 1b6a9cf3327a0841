import { once } from "node:events";
import type { Socket } from "node:net";
import { type ErrorCode, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { SECOND, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import {
	type IpcMethod,
	type IpcReply,
	type IpcRequest,
	ipcRequest,
	MAX_IPC_FRAME,
} from "../wire/ipc.ts";
import { parseMessage } from "../wire/json.ts";
import { Frames } from "./frames.ts";

export type IpcHandlers = Readonly<Record<IpcMethod, () => Promise<unknown>>>;

/** How long a refused client may still read why. */
const LINGER = SECOND;
const LATE = Symbol("late");

/**
 * One client of the agent. Requests are answered one after the other and nothing more is read meanwhile, so that a
 * client holds at most one socket buffer, one frame and one reply of the agent's memory, however much it sends.
 * Invariant: `working` is true exactly while one `work` runs.
 */
export class Session {
	private readonly frames = new Frames();
	private readonly gone = new AbortController();
	private waiting: Buffer[] = [];
	private working = false;
	private readonly socket: Socket;
	private readonly handlers: IpcHandlers;
	private readonly send: (line: string) => void;
	private readonly log: Log;
	private readonly patience: Millis;

	/** @param patience how long a handler may work, and the client may take over reading its reply */
	constructor(
		socket: Socket,
		handlers: IpcHandlers,
		send: (line: string) => void,
		log: Log,
		patience: Millis,
	) {
		this.socket = socket;
		this.handlers = handlers;
		this.send = send;
		this.log = log;
		this.patience = patience;
		socket.once("close", () => this.gone.abort());
	}

	receive(bytes: Buffer): void {
		this.waiting.push(...this.frames.push(bytes));
		if (!this.working) void this.work();
	}

	close(): void {
		this.socket.destroy();
	}

	private async work(): Promise<void> {
		this.working = true;
		this.socket.pause();
		try {
			while (this.waiting.length > 0 && !this.gone.signal.aborted) {
				const frame = this.waiting.shift();
				if (frame !== undefined && !(await this.take(frame))) return;
			}
			if (this.frames.overflowed) {
				this.refuse("too-large", `a frame is at most ${MAX_IPC_FRAME} bytes`);
				return;
			}
			this.socket.resume();
		} catch (error) {
			this.log.debug({ err: error }, "ipc client lost");
			this.socket.destroy();
		} finally {
			this.working = false;
		}
	}

	/** False when the connection is over. */
	private async take(frame: Buffer): Promise<boolean> {
		const request = parseMessage(ipcRequest, frame, MAX_IPC_FRAME);
		if (!request.ok) {
			this.refuse(request.reason, request.detail);
			return false;
		}
		await this.reply(await this.answer(request.value));
		return true;
	}

	private async answer({ id, method }: IpcRequest): Promise<IpcReply> {
		try {
			const result = await within(this.patience, this.handlers[method](), LATE);
			if (result !== LATE) return { id, ok: true, result };
			return failed(id, "COMMAND_FAILED", `${method} took too long`);
		} catch (error) {
			this.log.warn({ err: error, method }, "ipc request failed");
			return error instanceof LarderError
				? failed(id, error.code, error.message)
				: failed(id, "COMMAND_FAILED", `${method} failed: ${String(error)}`);
		}
	}

	private async reply(reply: IpcReply): Promise<void> {
		if (!this.socket.writable) throw new Error("the client went away");
		const line = `${JSON.stringify(reply)}\n`;
		this.send(
			Buffer.byteLength(line) <= MAX_IPC_FRAME
				? line
				: `${JSON.stringify(failed(reply.id, "COMMAND_FAILED", "the answer does not fit into a frame"))}\n`,
		);
		if (!this.socket.writableNeedDrain) return;
		const patience = AbortSignal.timeout(this.patience);
		await once(this.socket, "drain", {
			signal: AbortSignal.any([patience, this.gone.signal]),
		});
	}

	/** Says why, once, and ends the connection. The socket stays paused: what follows is never read. */
	private refuse(reason: string, detail: string): void {
		this.waiting = [];
		this.log.debug({ reason }, "ipc client refused");
		const line = JSON.stringify(
			failed(null, "REQUEST_INVALID", `${reason}: ${detail}`),
		);
		if (this.socket.writable) this.socket.end(`${line}\n`);
		const linger = setTimeout(() => this.socket.destroy(), LINGER);
		this.gone.signal.addEventListener("abort", () => clearTimeout(linger));
	}
}

function failed(id: number | null, code: ErrorCode, message: string): IpcReply {
	return { id, ok: false, code, message };
}
