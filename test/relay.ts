// Something that stands in the way of a listener on 127.0.0.1: whoever dials RELAY_HOST instead meets this.
import { EventEmitter, once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Test } from "tap";

/** Another address of loopback, on which the listener's own port is free. */
export const RELAY_HOST = "127.0.0.2";

/** What becomes of the next who dials: let through, taken and never answered, or turned away. */
export type Door = "open" | "mute" | "shut";

/** Emits `dialled` for every connection, `closed` when one is gone, and `cut`. */
export class Relay extends EventEmitter<{
	dialled: [];
	closed: [];
	cut: [];
}> {
	door: Door = "open";
	/** Bytes that the listener has sent through. */
	passed = 0;
	/** When so many have passed, both ends are cut and the door is shut. */
	cutAt = Number.POSITIVE_INFINITY;
	private readonly port: number;
	private readonly sockets = new Set<Socket>();

	private constructor(port: number) {
		super();
		this.port = port;
	}

	/** @param port of the listener; the relay's own is the same */
	static async open(t: Test, port: number): Promise<Relay> {
		const relay = new Relay(port);
		const server = createServer((socket) => relay.take(socket));
		server.listen(port, RELAY_HOST);
		await once(server, "listening");
		t.teardown(() => {
			relay.door = "shut";
			relay.end();
			server.close();
		});
		return relay;
	}

	/** Cuts what is connected, and lets nobody in. */
	cut(): void {
		this.door = "shut";
		this.cutAt = Number.POSITIVE_INFINITY;
		this.end();
		this.emit("cut");
	}

	private take(dialler: Socket): void {
		this.keep(dialler);
		dialler.on("close", () => this.emit("closed"));
		if (this.door === "shut") dialler.destroy();
		if (this.door === "mute") dialler.resume();
		if (this.door === "open") this.join(dialler);
		this.emit("dialled");
	}

	private join(dialler: Socket): void {
		const listener = connect(this.port, "127.0.0.1");
		this.keep(listener);
		dialler.pipe(listener);
		listener.on("data", (bytes) => {
			if (this.door !== "open") return;
			const room = this.cutAt - this.passed;
			const part = bytes.subarray(0, room);
			this.passed += part.length;
			dialler.write(part);
			if (bytes.length >= room) this.cut();
		});
		for (const [one, other] of [
			[dialler, listener],
			[listener, dialler],
		] as const)
			one.on("close", () => other.destroy());
	}

	private keep(socket: Socket): void {
		this.sockets.add(socket);
		socket.on("error", () => undefined);
		socket.on("close", () => this.sockets.delete(socket));
	}

	private end(): void {
		for (const socket of this.sockets) socket.destroy();
	}
}
