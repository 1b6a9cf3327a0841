import type { Log } from "../base/log.ts";
import { fullJitter, MINUTE, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import type { KeyPair } from "../wire/keys.ts";
import type { Hello } from "../wire/membership.ts";
import type { Neighbour } from "./neighbour.ts";
import { dialTcp, listenTcp, type TcpListener, type TcpPorts } from "./tcp.ts";

/** A lost TCP connection is dialled again after this and a jitter that grows with each try. */
const AGAIN: Millis = SECOND;
const AGAIN_LONGEST: Millis = 5 * MINUTE;
/** One that lived so long was not lost to what kept others from opening. */
const STABLE: Millis = MINUTE;

export interface BulkOptions {
	readonly keyPair: KeyPair;
	/** Where to listen; undefined: no TCP at all. */
	readonly tcp: { readonly host: string; readonly port: number } | undefined;
	/** Connections in and out; they still have to be admitted. */
	readonly onStream: TcpPorts["onStream"];
	readonly onSocket: TcpPorts["onSocket"];
	readonly onStranger: TcpPorts["onStranger"];
	readonly log: Log;
}

interface Dial {
	readonly box: BoxId;
	readonly host: string;
	readonly port: number;
	attempt: number;
	timer: NodeJS.Timeout | undefined;
}

/**
 * TCP connections beside the Hyperswarm ones, which exchange uses while they last. Of two neighbours the one with the higher key
 * dials, so that they have one and not two.
 * Invariant: a neighbour that this box dials has a Dial in `dials` from when it came until it left.
 */
export class Bulk {
	private readonly options: BulkOptions;
	private readonly dials = new Map<BoxId, Dial>();
	private listener: TcpListener | undefined;

	constructor(options: BulkOptions) {
		this.options = options;
	}

	/** Throws PORT_TAKEN or CONFIG_INVALID. */
	async listen(): Promise<void> {
		const { tcp, keyPair } = this.options;
		if (tcp === undefined) return;
		const { host, port } = tcp;
		this.listener = await listenTcp(host, port, keyPair, this.options);
	}

	get port(): number | undefined {
		return this.listener?.port;
	}

	/** What neighbours are told. */
	get address(): Hello["tcp"] {
		return this.listener && { port: this.listener.port };
	}

	/** A neighbour came. */
	open(neighbour: Neighbour): void {
		const { keyPair } = this.options;
		const { box, member } = neighbour;
		const { port = 0 } = member?.tcp ?? {};
		if (this.listener === undefined || port === 0) return;
		if (keyPair.publicKey.toString("hex") < box) return;
		// Its word would have this box dial whomever it likes.
		const host = neighbour.wires[0]?.link.stream.rawStream.remoteHost;
		if (host === undefined) return;
		const dial = { box, host, port, attempt: 0, timer: undefined };
		this.dials.set(box, dial);
		this.dial(dial);
	}

	/** A neighbour left. */
	forget(box: BoxId): void {
		clearTimeout(this.dials.get(box)?.timer);
		this.dials.delete(box);
	}

	async close(): Promise<void> {
		for (const box of [...this.dials.keys()]) this.forget(box);
		await this.listener?.close();
	}

	private dial(dial: Dial): void {
		const { keyPair, tcp, onStream, log } = this.options;
		const { box, host, port } = dial;
		dialTcp(host, port, keyPair, Buffer.from(box, "hex"), tcp?.host).then(
			(stream) => {
				if (this.dials.get(box) !== dial) {
					stream.destroy();
					return;
				}
				const opened = monotonic();
				stream.on("close", () => {
					if (monotonic() - opened >= STABLE) dial.attempt = 0;
					this.again(dial);
				});
				onStream(stream);
			},
			(err: unknown) => {
				log.debug(
					{ err, box: short(box) },
					"no TCP to this neighbour; exchange stays on its Hyperswarm stream",
				);
				this.again(dial);
			},
		);
	}

	private again(dial: Dial): void {
		if (this.dials.get(dial.box) !== dial) return;
		const jitter = fullJitter(dial.attempt++, AGAIN, AGAIN_LONGEST);
		dial.timer = setTimeout(() => this.dial(dial), AGAIN + jitter);
		dial.timer.unref();
	}
}
