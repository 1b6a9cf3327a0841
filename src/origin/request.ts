import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { Socket } from "node:net";
import { LarderError, systemCode } from "../base/errors.ts";
import { monotonic, SECOND } from "../base/time.ts";
import { type Bytes, KiB, type Millis } from "../base/units.ts";

export interface Patience {
	/** Until a new connection is open, TLS included. */
	readonly connect: Millis;
	/** Without a byte while one is waited for; and of waiting in all, before LEAST bytes have come. */
	readonly idle: Millis;
}

export const PATIENCE: Patience = { connect: 5 * SECOND, idle: 10 * SECOND };

/** Few sockets: bulk comes from neighbours, and a region of boxes at 8 each is enough for any server. */
const MAX_SOCKETS = 8;

/** Less in each `idle` of waiting is no answer: who drips would keep a socket for ever. */
const LEAST: Bytes = 16 * KiB;

const GONE = new Set(["ECONNRESET", "EPIPE"]);

export function originFailed(
	url: URL,
	what: string,
	cause?: unknown,
): LarderError {
	return new LarderError(
		"ORIGIN_FAILED",
		`${url.host}${url.pathname}: ${what}`,
		cause === undefined ? undefined : { cause },
	);
}

/** The sockets to one origin: kept alive, at most eight, redirects not followed. */
export class Connections {
	private readonly agent: http.Agent;
	private readonly client: typeof http | typeof https;
	private readonly patience: Patience;
	private readonly guarded = new WeakSet<Socket>();

	constructor(protocol: "http:" | "https:", patience: Patience) {
		this.client = protocol === "https:" ? https : http;
		this.agent = new this.client.Agent({
			keepAlive: true,
			maxSockets: MAX_SOCKETS,
		});
		this.patience = patience;
	}

	/** Sockets in use or kept for the next request. */
	get sockets(): number {
		return [this.agent.sockets, this.agent.freeSockets]
			.flatMap((byHost) => Object.values(byHost))
			.reduce((sum, list) => sum + (list?.length ?? 0), 0);
	}

	/**
	 * The answer to a GET, its body still to be read or destroyed.
	 * @throws LarderError ORIGIN_FAILED, or the signal's reason
	 */
	async get(
		url: URL,
		headers: Readonly<Record<string, string>>,
		signal: AbortSignal,
	): Promise<IncomingMessage> {
		signal.throwIfAborted();
		try {
			return await this.attempt(url, headers, signal, true);
		} catch (cause) {
			signal.throwIfAborted();
			throw originFailed(url, "no answer", cause);
		}
	}

	close(): void {
		this.agent.destroy();
	}

	private attempt(
		url: URL,
		headers: Readonly<Record<string, string>>,
		signal: AbortSignal,
		first: boolean,
	): Promise<IncomingMessage> {
		const { promise, resolve, reject } =
			Promise.withResolvers<IncomingMessage>();
		const request = this.client.get(url, {
			agent: this.agent,
			signal,
			headers: { ...headers, "accept-encoding": "identity" },
		});
		let timer: NodeJS.Timeout | undefined;
		const limit = (ms: Millis, what: string) => {
			clearTimeout(timer);
			timer = setTimeout(
				() => request.destroy(new Error(`${what} for ${ms / SECOND} s`)),
				ms,
			);
		};
		const { connect, idle } = this.patience;
		const ready = url.protocol === "https:" ? "secureConnect" : "connect";
		request.on("socket", (socket) => {
			this.guard(socket);
			if (!socket.connecting) return limit(idle, "silent");
			limit(connect, "not connected");
			socket.once(ready, () => limit(idle, "silent"));
		});
		request.on("response", (response) => {
			clearTimeout(timer);
			resolve(response);
		});
		// Stays on: an error may still come when the answer is long settled.
		request.on("error", (error) => {
			clearTimeout(timer);
			// The server closed a kept socket just as it was used again; the request never reached it.
			if (first && request.reusedSocket && GONE.has(systemCode(error) ?? ""))
				resolve(this.attempt(url, headers, signal, false));
			else reject(error);
		});
		return promise;
	}

	/**
	 * A request that is aborted in the moment in which its answer ends destroys a socket that Node no longer listens to,
	 * and the error would end the process.
	 */
	private guard(socket: Socket): void {
		if (this.guarded.has(socket)) return;
		this.guarded.add(socket);
		socket.on("error", () => undefined);
	}

	/**
	 * The body, chunk by chunk. The clock of the idle limit, and of the least that must come, stands still while the reader is busy.
	 * Ending the iteration early, an error and a silent server close the socket.
	 * @throws LarderError ORIGIN_FAILED, or the signal's reason
	 */
	async *body(
		url: URL,
		response: IncomingMessage,
		signal: AbortSignal,
	): AsyncGenerator<Buffer> {
		const { idle } = this.patience;
		const wait = () =>
			setTimeout(
				() => response.destroy(new Error(`silent for ${idle / SECOND} s`)),
				idle,
			);
		let timer = wait();
		let since = monotonic();
		let waited: Millis = 0;
		let came: Bytes = 0;
		try {
			for await (const chunk of response as AsyncIterable<Buffer>) {
				clearTimeout(timer);
				waited += monotonic() - since;
				came += chunk.length;
				if (waited >= idle) {
					if (came < LEAST)
						throw new Error(`too slow: ${came} bytes in ${idle / SECOND} s`);
					waited = 0;
					came = 0;
				}
				yield chunk;
				timer = wait();
				since = monotonic();
			}
		} catch (cause) {
			signal.throwIfAborted();
			throw originFailed(url, "the answer broke off", cause);
		} finally {
			clearTimeout(timer);
		}
		// An abort may look like an ordinary end.
		signal.throwIfAborted();
	}
}
