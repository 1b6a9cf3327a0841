/** The part of node-ipc 9.2.1 that is used here. */
declare module "node-ipc" {
	import type { Server as NetServer, Socket } from "node:net";

	interface Config {
		silent: boolean;
		rawBuffer: boolean;
		encoding: "utf8";
		unlink: boolean;
		maxConnections: number;
		maxRetries: number;
		stopRetrying: boolean;
		tls: false;
	}

	interface Server {
		/** What it listens with; `false` until started. */
		readonly server: NetServer | false;
		start(): void;
		stop(): void;
		on(event: "start", listener: () => void): void;
		/** Of the listener and of every connection alike. */
		on(event: "error", listener: (error: Error) => void): void;
		on(event: "connect", listener: (socket: Socket) => void): void;
		on(event: "data", listener: (bytes: Buffer, socket: Socket) => void): void;
		/** With `rawBuffer`, the text is sent as it is. */
		emit(socket: Socket, text: string): void;
	}

	interface Client {
		on(event: "connect" | "disconnect", listener: () => void): void;
		on(event: "error", listener: (error: Error) => void): void;
		on(event: "data", listener: (bytes: Buffer) => void): void;
		emit(text: string): void;
	}

	class IPC {
		readonly config: Config;
		readonly server: Server;
		readonly of: Record<string, Client>;
		serve(path: string, onStart?: () => void): void;
		connectTo(id: string, path: string): void;
		disconnect(id: string): void;
	}

	const module: { readonly IPC: typeof IPC };
	export default module;
}
