import { once } from "node:events";
import type { Socket } from "node:net";
import { type ErrorCode, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND, sleep, within } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import {
	IPC_METHODS,
	IPC_PARAMS,
	type IpcMethod,
	type IpcParams,
	type IpcReply,
	ipcRequest,
	isIpcMethod,
	MAX_IPC_FRAME,
} from "../wire/ipc.ts";
import { parseMessage, parseValue } from "../wire/json.ts";
import { Frames } from "./frames.ts";
import type { Meter } from "./meter.ts";

export type IpcHandlers = {
	readonly [M in IpcMethod]: (params: IpcParams<M>) => Promise<unknown>;
};

/** Handlers that all answer the same. */
export function always(answer: () => Promise<unknown>): IpcHandlers {
	const methods = IPC_METHODS.map((method) => [method, answer]);
	// One for each method, and it takes nothing.
	return Object.fromEntries(methods) as IpcHandlers;
}

/** What one client may take. */
export interface Limits {
	/** How long a handler may work, and the client may take over reading its reply. */
	readonly patience: Millis;
	/** How long the client may go without a whole request: who says nothing, and who says it by drops. */
	readonly silence: Millis;
	/** Requests a second, after a burst of as many as one second brings; more wait. */
	readonly rate: number;
}

export interface SessionParts {
	readonly socket: Socket;
	readonly handlers: IpcHandlers;
	readonly send: (line: string) => void;
	readonly meter: Meter;
	readonly log: Log;
	readonly limits: Limits;
}

/** How long a refused client may still read why. */
const LINGER = SECOND;
const LATE = Symbol("late");

/**
 * One client of the agent. Requests are answered one after the other and nothing more is read meanwhile, so that a
 * client holds at most one socket buffer, one frame and one reply of the agent's memory, however much it sends.
 * Invariants: `working` is true exactly while one `work` runs; `quiet` runs exactly while a request is waited for.
 */
export class Session {
	private readonly frames = new Frames();
	private readonly gone = new AbortController();
	private waiting: Buffer[] = [];
	private working = false;
	private quiet: NodeJS.Timeout | undefined;
	/** When the requests answered so far would be spent, one after the other at the rate. */
	private due: Millis = 0;
	private readonly parts: SessionParts;

	constructor(parts: SessionParts) {
		this.parts = parts;
		parts.socket.once("close", () => {
			clearTimeout(this.quiet);
			this.gone.abort();
		});
		this.expect();
	}

	receive(bytes: Buffer): void {
		this.waiting.push(...this.frames.push(bytes));
		if (!this.working) void this.work();
	}

	close(): void {
		this.parts.socket.destroy();
	}

	private async work(): Promise<void> {
		const { socket, log } = this.parts;
		this.working = true;
		socket.pause();
		try {
			while (this.waiting.length > 0 && !this.gone.signal.aborted) {
				const frame = this.waiting.shift();
				if (frame !== undefined && !(await this.take(frame))) return;
			}
			if (this.frames.overflowed) {
				this.refuse("too-large", `a frame is at most ${MAX_IPC_FRAME} bytes`);
				return;
			}
			socket.resume();
		} catch (error) {
			log.debug({ err: error }, "ipc client lost");
			socket.destroy();
		} finally {
			this.working = false;
		}
	}

	/** False when the connection is over. */
	private async take(frame: Buffer): Promise<boolean> {
		clearTimeout(this.quiet);
		const request = parseMessage(ipcRequest, frame, MAX_IPC_FRAME);
		if (!request.ok) {
			this.refuse(request.reason, request.detail);
			return false;
		}
		const { id, method, params } = request.value;
		if (!isIpcMethod(method)) {
			this.refuse("unknown-method", `it is none of ${IPC_METHODS.join(", ")}`);
			return false;
		}
		await this.turn();
		this.parts.meter.requests.inc({ method });
		await this.reply(await this.answer(id, method, params));
		this.expect();
		return true;
	}

	/** Hangs up on a client that does not bring a whole request in time. */
	private expect(): void {
		if (this.gone.signal.aborted) return;
		const { socket, meter, limits } = this.parts;
		this.quiet = setTimeout(() => {
			meter.refusals.inc({ reason: "silent" });
			socket.destroy();
		}, limits.silence);
	}

	/** Resolves when the client's rate allows it one more request. */
	private async turn(): Promise<void> {
		const now = monotonic();
		const due = Math.max(this.due, now);
		this.due = due + SECOND / this.parts.limits.rate;
		const wait = due - now - SECOND;
		if (wait > 0) await sleep(wait, this.gone.signal);
	}

	private async answer<M extends IpcMethod>(
		id: number,
		method: M,
		params: unknown,
	): Promise<IpcReply> {
		const { handlers, limits, log } = this.parts;
		const read = parseValue(IPC_PARAMS[method], params);
		if (!read.ok) return failed(id, "REQUEST_INVALID", read.detail);
		// The schema of a method says what its handler takes.
		const work = handlers[method](read.value as IpcParams<M>);
		try {
			const result = await within(limits.patience, work, LATE);
			if (result !== LATE) return { id, ok: true, result };
			return failed(id, "COMMAND_FAILED", `${method} took too long`);
		} catch (error) {
			const isKnown = error instanceof LarderError;
			// Who asks is told; a page that asks each second need not fill the log.
			log[isKnown ? "debug" : "warn"](
				{ err: error, method },
				"ipc request failed",
			);
			return isKnown
				? failed(id, error.code, error.message)
				: failed(id, "COMMAND_FAILED", `${method} failed: ${String(error)}`);
		}
	}

	private async reply(reply: IpcReply): Promise<void> {
		const { socket, send, limits } = this.parts;
		if (!socket.writable) throw new Error("the client went away");
		const line = `${JSON.stringify(reply)}\n`;
		send(
			Buffer.byteLength(line) <= MAX_IPC_FRAME
				? line
				: `${JSON.stringify(failed(reply.id, "COMMAND_FAILED", "the answer does not fit into a frame"))}\n`,
		);
		if (!socket.writableNeedDrain) return;
		const patience = AbortSignal.timeout(limits.patience);
		await once(socket, "drain", {
			signal: AbortSignal.any([patience, this.gone.signal]),
		});
	}

	/** Says why, once, and ends the connection. The socket stays paused: what follows is never read. */
	private refuse(reason: string, detail: string): void {
		const { socket, meter, log } = this.parts;
		this.waiting = [];
		meter.refusals.inc({ reason });
		log.debug({ reason }, "ipc client refused");
		const line = JSON.stringify(
			failed(null, "REQUEST_INVALID", `${reason}: ${detail}`),
		);
		if (socket.writable) socket.end(`${line}\n`);
		const linger = setTimeout(() => socket.destroy(), LINGER);
		this.gone.signal.addEventListener("abort", () => clearTimeout(linger));
	}
}

function failed(id: number | null, code: ErrorCode, message: string): IpcReply {
	return { id, ok: false, code, message };
}
