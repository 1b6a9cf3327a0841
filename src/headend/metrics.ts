import type { IncomingMessage, ServerResponse } from "node:http";
import { Counter, Registry } from "prom-client";
import type { Bytes } from "../base/units.ts";

/** The origin's figures for Prometheus: for whoever asks from this machine itself. */
export class Metrics {
	private readonly registry = new Registry();

	constructor(bytesSent: () => Bytes) {
		new Counter({
			name: "larder_origin_sent_bytes_total",
			help: "Bytes of titles and placements sent",
			registers: [this.registry],
			collect() {
				this.reset();
				this.inc(bytesSent());
			},
		});
	}

	/** Whether a request is for the figures and was not passed on by a proxy for somebody elsewhere. */
	isFor({ method, url, socket, headers }: IncomingMessage): boolean {
		if (method !== "GET" || url !== "/metrics") return false;
		const address = socket.remoteAddress?.replace(/^::ffff:/, "") ?? "";
		const own = address === "::1" || address.startsWith("127.");
		return (
			own &&
			headers["x-forwarded-for"] === undefined &&
			headers.via === undefined
		);
	}

	async send(response: ServerResponse): Promise<void> {
		const text = await this.registry.metrics();
		response.writeHead(200, { "content-type": this.registry.contentType });
		response.end(text);
	}
}
