import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { monotonic, SECOND } from "../base/time.ts";
import type { Bytes, Millis } from "../base/units.ts";
import { asLarderError, sendError, statusOf } from "./failure.ts";
import { isOwnHost } from "./host.ts";
import type { Meter } from "./meter.ts";
import { type Backing, nothing, ROUTES, type Route } from "./route.ts";
import { readTarget } from "./target.ts";

const METHODS = "GET, HEAD, OPTIONS";

/** What a page of another site may send and see when it plays a title. */
const SHARED = {
	"Access-Control-Allow-Origin": "*",
	"Access-Control-Allow-Methods": METHODS,
	"Access-Control-Allow-Headers":
		"Range, If-Range, If-Match, If-None-Match, Cache-Control",
	"Access-Control-Expose-Headers":
		"Accept-Ranges, Content-Length, Content-Range, ETag, Retry-After",
	"Access-Control-Allow-Private-Network": "true",
	"Access-Control-Max-Age": "86400",
	"Cross-Origin-Resource-Policy": "cross-origin",
	"Timing-Allow-Origin": "*",
} as const;

/** The list of titles and what is being watched are the household's: pages of other sites do not get them. */
const OWN = { "Cross-Origin-Resource-Policy": "same-origin" } as const;

export interface ReceptionOptions {
	readonly backing: Backing;
	readonly meter: Meter;
	/** The address bound. */
	readonly host: string;
	readonly log: Log;
}

/**
 * Takes each request to its route, and settles what becomes of it: answered, failed or given up.
 * Invariant: `running` holds the requests whose answer is neither whole nor destroyed.
 */
export class Reception {
	private readonly options: ReceptionOptions;
	private readonly running = new Set<Promise<void>>();

	constructor(options: ReceptionOptions) {
		this.options = options;
	}

	/** Answers one request. */
	receive(req: IncomingMessage, res: ServerResponse): void {
		const gone = new AbortController();
		res.once("close", () => gone.abort(new Error("the player went away")));
		const answered = this.answer(req, res, gone.signal);
		this.running.add(answered);
		void answered.then(() => this.running.delete(answered));
	}

	/** Resolves when the requests that run now have been answered or, their connections closed, have ended their reads. */
	async settled(): Promise<void> {
		await Promise.all(this.running);
	}

	private async answer(
		req: IncomingMessage,
		res: ServerResponse,
		signal: AbortSignal,
	): Promise<void> {
		const { backing, meter, host } = this.options;
		const began = monotonic();
		let route: Route | undefined;
		meter.active.inc();
		try {
			res.setHeader("X-Content-Type-Options", "nosniff");
			const path = admit(req, host);
			route = ROUTES.find(({ pattern }) => pattern.test(path));
			if (route === undefined) throw nothing();
			for (const [name, value] of Object.entries(route.open ? SHARED : OWN)) {
				res.setHeader(name, value);
			}
			if (isPlain(req, res)) {
				const [, ...groups] = route.pattern.exec(path) ?? [];
				const progress = this.progress(began);
				const exchange = { req, res, progress, signal };
				await route.answer(backing, exchange, ...groups);
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

/** The path asked for. Throws what keeps a request out. */
function admit(req: IncomingMessage, bound: string): string {
	const target = readTarget(req.url ?? "");
	if (!target.ok) throw new LarderError("REQUEST_INVALID", target.detail);
	const host = target.value.host ?? req.headers.host;
	// Only HTTP/1.0 comes without a host, and no browser speaks that.
	if (host !== undefined && !isOwnHost(host, bound)) {
		throw new LarderError(
			"HOST_REFUSED",
			"the gateway answers to loopback names only",
		);
	}
	return target.value.path;
}

/** Whether the request is a GET or HEAD, to be answered by its route. Answers OPTIONS here; throws METHOD_REFUSED. */
function isPlain(req: IncomingMessage, res: ServerResponse): boolean {
	if (req.method === "GET" || req.method === "HEAD") return true;
	res.setHeader("Allow", METHODS);
	if (req.method !== "OPTIONS") {
		throw new LarderError(
			"METHOD_REFUSED",
			`the gateway does not take ${req.method}`,
		);
	}
	res.writeHead(204).end();
	return false;
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
