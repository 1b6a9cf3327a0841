import Protomux from "protomux";
import type { Pacer } from "../act/pacer.ts";
import type { Log } from "../base/log.ts";
import type { Bytes } from "../base/units.ts";
import {
	cancel,
	chunk,
	EXCHANGE,
	mark,
	refuse,
	request,
} from "../wire/exchange.ts";
import { Download } from "./download.ts";
import type { GuardedStream, Transport } from "./guard.ts";
import { Underway } from "./underway.ts";
import {
	type Shelf,
	Upload,
	type UploadPorts,
	type Withheld,
} from "./upload.ts";

export interface LinkPorts {
	readonly shelf: Shelf;
	readonly pacer: Pacer;
	/** Whether the neighbour is one that holds titles, and so may ask for them. */
	readonly holds: boolean;
	/** Why this box gives nothing now; undefined while it does. */
	readonly refusal: () => Withheld | undefined;
	readonly others: UploadPorts["others"];
	/** The neighbour wants something. */
	readonly onWanted: () => void;
	readonly onReceived: (bytes: Bytes) => void;
	readonly onSent: (bytes: Bytes) => void;
	/** The neighbour does what no honest one does. */
	readonly onOffence: (slug: string) => void;
	readonly log: Log;
}

/** The exchange with one neighbour over one admitted connection; it does not know over which transport. */
export class Link {
	readonly transport: Transport;
	readonly stream: GuardedStream;
	/** Unix milliseconds. */
	readonly since = Date.now();
	readonly download: Download;
	private readonly upload: Upload;

	constructor(transport: Transport, stream: GuardedStream, ports: LinkPorts) {
		this.transport = transport;
		this.stream = stream;
		const channel = Protomux.from(stream).createChannel({
			protocol: EXCHANGE,
			ondrain: () => {
				this.upload.drain();
				tell();
			},
			// Without it the connection is of no use.
			onclose: () => {
				this.upload.close();
				this.download.close();
				stream.destroy();
			},
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
		// Of many marks the last one is told: who sends them and reads nothing takes no memory.
		let passed: number | undefined;
		const tell = () => {
			if (passed === undefined || !channel.drained) return;
			const number = passed;
			passed = undefined;
			reached.send(number);
		};
		const marks = channel.addMessage({
			encoding: mark,
			onmessage: (number) => {
				passed = number;
				tell();
			},
		});
		const reached = channel.addMessage({
			encoding: mark,
			onmessage: (number) => {
				if (!underway.reach(number)) ports.onOffence("mark");
			},
		});
		const underway = new Underway(marks, ports.pacer);
		this.download = new Download(requests, cancels, ports);
		this.upload = new Upload(chunks, refusals, underway, ports);
		channel.open();
	}

	/** This box gives nothing from now on: what the neighbour waits for is refused. */
	refuse(reason: Withheld): void {
		this.upload.refuse(reason);
	}
}
