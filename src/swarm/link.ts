import type { NoiseStream } from "@hyperswarm/secret-stream";
import Protomux from "protomux";
import type { Pacer } from "../act/pacer.ts";
import type { Log } from "../base/log.ts";
import { cancel, chunk, EXCHANGE, refuse, request } from "../wire/exchange.ts";
import { Download } from "./download.ts";
import { type Shelf, Upload } from "./upload.ts";

export type Transport = "udx" | "tcp";

export interface Traffic {
	received(bytes: number): void;
	sent(bytes: number): void;
}

/** One admitted connection with one neighbour, over whichever transport: the exchange does not know which. */
export class Link {
	readonly transport: Transport;
	readonly mux: Protomux;
	readonly stream: NoiseStream;
	readonly since = Date.now();
	readonly download: Download;
	private readonly upload: Upload;

	constructor(
		transport: Transport,
		stream: NoiseStream,
		shelf: Shelf,
		pacer: Pacer,
		traffic: Traffic,
		log: Log,
	) {
		this.transport = transport;
		this.stream = stream;
		this.mux = Protomux.from(stream);
		const channel = this.mux.createChannel({
			protocol: EXCHANGE,
			ondrain: () => this.upload.drain(),
			onclose: () => this.close(),
		});
		if (channel === null) throw new Error("the connection has ended");
		const requests = channel.addMessage({
			encoding: request,
			onmessage: (message) => this.upload.accept(message),
		});
		const chunks = channel.addMessage({
			encoding: chunk,
			onmessage: (message) => this.download.onChunk(message),
		});
		const refusals = channel.addMessage({
			encoding: refuse,
			onmessage: (message) => this.download.onRefusal(message),
		});
		const cancels = channel.addMessage({
			encoding: cancel,
			onmessage: (id) => this.upload.cancel(id),
		});
		this.download = new Download(requests, cancels, traffic.received);
		this.upload = new Upload(shelf, pacer, chunks, refusals, traffic.sent, log);
		channel.open();
	}

	/** Ends requests both ways; the connection is the caller's. */
	close(): void {
		this.download.close();
		this.upload.close();
	}
}
