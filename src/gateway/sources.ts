import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setInterval } from "node:timers/promises";
import type { Library } from "../act/ports.ts";
import { SECOND } from "../base/time.ts";

/** Seconds that the page shows. */
const WINDOW = 60;

/**
 * Server-sent events, one a second: `{now, seconds}`, where the bytes of each of the last seconds came from.
 * Each event tells the whole window, so that none is missed after a reconnect. Ends by the signal.
 */
export async function sendSources(
	req: IncomingMessage,
	res: ServerResponse,
	library: Library,
	signal: AbortSignal,
): Promise<void> {
	res.writeHead(200, {
		"Content-Type": "text/event-stream; charset=utf-8",
		"Cache-Control": "no-store",
	});
	if (req.method === "HEAD") {
		res.end();
		return;
	}
	res.write(`retry: 2000\n\n${eventOf(library)}`);
	for await (const _ of setInterval(SECOND, undefined, {
		signal,
		ref: false,
	})) {
		if (!res.write(eventOf(library))) await once(res, "drain", { signal });
	}
}

function eventOf(library: Library): string {
	const now = Math.floor(Date.now() / SECOND);
	const seconds = library
		.recent()
		.filter(({ at }) => at > now - WINDOW)
		.slice(-WINDOW);
	return `data: ${JSON.stringify({ now, seconds })}\n\n`;
}
