import type {
	IncomingMessage,
	OutgoingHttpHeaders,
	ServerResponse,
} from "node:http";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { readWord } from "./cmcd.ts";
import { asLarderError, sendError, statusOf } from "./failure.ts";
import { isOwnHost } from "./host.ts";
import type { Meter } from "./meter.ts";
import { type Backing, find, type Route } from "./route.ts";
import { admitSite, METHODS, PREFLIGHT, sharedWith } from "./site.ts";
import { readTarget } from "./target.ts";
import { Turns } from "./turns.ts";

/** On every answer. The page sends a policy of its own; no title's file is a document that may do anything. */
const ALWAYS = {
	"X-Content-Type-Options": "nosniff",
	// With a token, an address is a secret.
	"Referrer-Policy": "no-referrer",
	"Content-Security-Policy":
		"default-src 'none'; media-src 'self'; frame-ancestors 'none'",
	Vary: "Origin",
} as const;

export interface ReceptionOptions {
	readonly backing: Backing;
	readonly meter: Meter;
	/** The player token, if there is one. */
	readonly token: string | undefined;
	/** Other origins whose pages may play. */
	readonly origins: ReadonlySet<string>;
	readonly log: Log;
}

/**
 * Takes each request to its route, and settles what becomes of it: answered, failed or given up.
 * Invariant: `running` holds the requests whose answer is neither whole nor destroyed.
 */
export class Reception {
	private readonly options: ReceptionOptions;
	private readonly turns = new Turns();
	private readonly running = new Set<Promise<void>>();

	constructor(options: ReceptionOptions) {
		this.options = options;
	}

	/** Answers one request, when it is its turn. */
	receive(req: IncomingMessage, res: ServerResponse): void {
		const answered = this.turns.run(req.socket, () => this.attend(req, res));
		this.running.add(answered);
		void answered.then(() => this.running.delete(answered));
	}

	/** Resolves when the requests that run now have been answered or, their connections closed, have ended their reads. */
	async settled(): Promise<void> {
		await Promise.all(this.running);
	}

	private async attend(
		req: IncomingMessage,
		res: ServerResponse,
	): Promise<void> {
		const { socket } = req;
		const gone = new AbortController();
		const leave = () => gone.abort(new Error("the player went away"));
		// An answer that waited for its turn is not told by the server that its connection has closed.
		if (socket.destroyed) leave();
		else socket.once("close", leave);
		await this.answer(req, res, gone.signal);
		socket.off("close", leave);
	}

	/** Never rejects. */
	private async answer(
		req: IncomingMessage,
		res: ServerResponse,
		signal: AbortSignal,
	): Promise<void> {
		const { backing, meter, token } = this.options;
		const began = monotonic();
		let route: Route | undefined;
		meter.active.inc();
		try {
			setHeaders(res, ALWAYS);
			const path = admit(req);
			const origin = admitSite(req.headers, this.options.origins);
			if (path === "*") {
				sayMethods(res);
				return await flushed(res, signal);
			}
			const found = find(path, token);
			route = found.route;
			const open = route.door === "player" || isHeld(route, token);
			setHeaders(res, {
				"Cross-Origin-Resource-Policy": open ? "same-site" : "same-origin",
				...(open && origin !== undefined && sharedWith(origin)),
			});
			if (isPlain(req, res, open && origin !== undefined)) {
				const progress = this.progress(began);
				const word = this.wordOf(req);
				const exchange = { req, res, progress, began, word, signal };
				await route.answer(backing, exchange, ...found.groups);
			}
			await flushed(res, signal);
		} catch (error) {
			this.fail(res, error, signal);
		} finally {
			meter.active.dec();
			meter.requests.inc({
				route: route?.name ?? "none",
				status: res.headersSent ? res.statusCode : "none",
			});
		}
	}

	/** What is not as it should be is as good as not said. */
	private wordOf({ url = "", headers }: IncomingMessage) {
		const word = readWord(url, headers);
		if (word !== "bad") return word;
		this.options.meter.unread.inc();
		return undefined;
	}

	private progress(began: Millis): { sent(bytes: Bytes): void } {
		const { meter } = this.options;
		let first = true;
		return {
			sent: (bytes) => {
				if (first) meter.firstByte.observe((monotonic() - began) / SECOND);
				first = false;
				meter.bytes.inc(bytes);
			},
		};
	}

	private fail(
		res: ServerResponse,
		thrown: unknown,
		signal: AbortSignal,
	): void {
		const { meter, log } = this.options;
		if (signal.aborted) {
			meter.aborted.inc();
			res.destroy();
			return;
		}
		const error = asLarderError(thrown);
		meter.failures.inc({ code: error.code });
		const cut = res.headersSent;
		const fields = { code: error.code, cut, error: describe(error) };
		if (cut) log.warn(fields, "transfer cut short");
		else if (statusOf(error.code) < 500) log.debug(fields, "request refused");
		else log.warn(fields, "request failed");
		// With its header gone, an answer can only say by a cut connection that it is not whole.
		if (cut) res.destroy();
		else sendError(res, error);
	}
}

/** The path asked for. Throws what keeps a request out, whichever site it comes from. */
function admit(req: IncomingMessage): string {
	const target = readTarget(req.url ?? "", req.method);
	if (!target.ok) throw new LarderError("REQUEST_INVALID", target.detail);
	// All that it gives: of two, another server on the way may have looked at the other.
	const named = [...(req.headersDistinct["host"] ?? [])];
	if (target.value.host !== undefined) named.push(target.value.host);
	if (named.length === 0) {
		throw new LarderError("REQUEST_INVALID", "the request names no host");
	}
	if (!named.every(isOwnHost)) {
		throw new LarderError(
			"HOST_REFUSED",
			"the gateway answers to loopback names only",
		);
	}
	return target.value.path;
}

/** Whether the route is the household's, and the token that leads to it says that the page is, too. */
function isHeld({ door }: Route, token: string | undefined): boolean {
	return door === "household" && token !== undefined;
}

/** Whether the request is a GET or HEAD, to be answered by its route. Answers OPTIONS here; throws METHOD_REFUSED. */
function isPlain(
	req: IncomingMessage,
	res: ServerResponse,
	shared: boolean,
): boolean {
	if (req.method === "GET" || req.method === "HEAD") return true;
	if (req.method !== "OPTIONS") {
		res.setHeader("Allow", METHODS);
		throw new LarderError(
			"METHOD_REFUSED",
			`the gateway does not take ${req.method}`,
		);
	}
	if (shared) setHeaders(res, PREFLIGHT);
	sayMethods(res);
	return false;
}

function sayMethods(res: ServerResponse): void {
	res.writeHead(204, { Allow: METHODS }).end();
}

function setHeaders(res: ServerResponse, headers: OutgoingHttpHeaders): void {
	for (const [name, value] of Object.entries(headers)) {
		if (value !== undefined) res.setHeader(name, value);
	}
}

/** Resolves when the whole answer has been handed to the system; rejects when the player goes away before. */
function flushed(res: ServerResponse, signal: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		if (res.writableFinished) return resolve();
		signal.throwIfAborted();
		res.once("finish", resolve);
		signal.addEventListener("abort", () => reject(signal.reason));
	});
}
