// The parts of the untyped Holepunch packages that Larder uses.

declare module "hyperdht" {
	import type { EventEmitter } from "node:events";
	import type { Duplex } from "node:stream";
	import type { NoiseOptions, NoiseStream } from "@hyperswarm/secret-stream";

	interface Address {
		host: string;
		port: number;
	}
	interface StreamFactory<Stream> {
		createSecretStream?: (
			isInitiator: boolean,
			raw: Duplex | null,
			options: NoiseOptions,
		) => Stream;
	}
	export interface RawStream extends Duplex {
		readonly connected: boolean;
	}
	export interface ConnectOptions<Stream> extends StreamFactory<Stream> {
		keyPair?: { publicKey: Buffer; secretKey: Buffer };
	}
	export interface DhtOptions {
		bootstrap: readonly string[] | readonly Address[];
		keyPair?: { publicKey: Buffer; secretKey: Buffer };
		host?: string;
		/** A range is tried in turn, then any port is taken. */
		port?: number | readonly [from: number, to: number];
		firewalled?: boolean;
		ephemeral?: boolean;
		anyPort?: boolean;
		quickFirewall?: boolean;
	}
	export interface Server extends EventEmitter {
		/** Announces it anew, a few seconds later at most. */
		refresh(): void;
	}
	/** Emits `add-node` when another one is known. */
	export default class HyperDHT<
		Stream extends NoiseStream = NoiseStream,
	> extends EventEmitter {
		constructor(options: DhtOptions);
		static bootstrapper(
			port: number,
			host: string,
			options?: Partial<DhtOptions>,
		): HyperDHT;
		readonly host: string | null;
		readonly port: number;
		readonly firewalled: boolean;
		readonly ephemeral: boolean;
		readonly online: boolean;
		readonly destroyed: boolean;
		readonly io: {
			readonly networkInterfaces: { destroy(): Promise<void> };
		};
		fullyBootstrapped(): Promise<void>;
		address(): Address;
		/** The port that others are answered on, beside an address of this machine; null before it listens. */
		localAddress(): Address | null;
		toArray(): Address[];
		/** Asks four times, a second apart. `to` is this node's address as the other sees it. */
		ping(address: Address): Promise<{ readonly to: Address }>;
		/** Answered after so many milliseconds; asks four times, each a second longer than that after the last. */
		delayedPing(
			address: Address,
			delayMs: number,
		): Promise<{ readonly to: Address }>;
		connect(key: Uint8Array, options?: ConnectOptions<Stream>): Stream;
		/** The UDX stream that a handshake prepares, on this side or the other's wish; it has a socket once it is connected. */
		createRawStream(options: object): RawStream;
		createServer(
			options: StreamFactory<Stream> & {
				/** Milliseconds for which what a handshake left is kept. */
				handshakeClearWait?: number;
			},
			onConnection?: (stream: Stream) => void,
		): Server;
		destroy(options?: { force?: boolean }): Promise<void>;
	}
}

declare module "hyperswarm" {
	import type { EventEmitter } from "node:events";
	import type { NoiseStream } from "@hyperswarm/secret-stream";
	import type HyperDHT from "hyperdht";
	import type { Server } from "hyperdht";
	export interface PeerInfo {
		readonly publicKey: Buffer;
		ban(banned: boolean): void;
	}
	export interface Discovery {
		flushed(): Promise<void>;
		refresh(options?: { client?: boolean; server?: boolean }): Promise<void>;
		destroy(): Promise<void>;
	}
	/** Its streams are of the kind that its DHT makes. */
	export default class Hyperswarm<
		Stream extends NoiseStream,
	> extends EventEmitter<{
		connection: [Stream, PeerInfo];
		update: [];
	}> {
		constructor(options: {
			dht: HyperDHT<Stream>;
			keyPair: { publicKey: Buffer; secretKey: Buffer };
			maxPeers?: number;
			firewall?: (publicKey: Buffer, payload: unknown) => boolean;
			backoffs?: readonly number[];
			jitter?: number;
		});
		readonly connections: Set<Stream>;
		readonly server: Server;
		join(
			topic: Uint8Array,
			options?: { client?: boolean; server?: boolean; limit?: number },
		): Discovery;
		listen(): Promise<void>;
		destroy(options?: { force?: boolean }): Promise<void>;
	}
}

declare module "@hyperswarm/secret-stream" {
	import type { Duplex } from "node:stream";
	export interface NoiseStream extends Omit<Duplex, "destroyed"> {
		readonly publicKey: Buffer;
		readonly remotePublicKey: Buffer;
		readonly isInitiator: boolean;
		readonly connected: boolean;
		readonly opened: Promise<boolean>;
		readonly destroyed: boolean;
		readonly destroying: boolean;
		/** UDX knows its `remoteHost`, a socket its `remoteAddress`. */
		readonly rawStream: Duplex & {
			readonly remoteHost?: string;
			readonly remoteAddress?: string;
		};
		start(raw: Duplex, options: NoiseOptions): void;
		/** Room for a frame of which a part has come. Not documented: `guard.ts` and its test hold it to this version. */
		_message: Buffer | null;
		userData: unknown;
		setKeepAlive(ms: number): void;
		setTimeout(ms: number): void;
		alloc(length: number): Buffer;
	}
	export interface NoiseOptions {
		autoStart?: boolean;
		pattern?: "IK" | "XX";
		keyPair: { publicKey: Buffer; secretKey: Buffer };
		remotePublicKey?: Uint8Array;
		keepAlive?: number;
	}
	const SecretStream: new (
		isInitiator: boolean,
		raw: Duplex | null,
		options: NoiseOptions,
	) => NoiseStream;
	export default SecretStream;
}

declare module "protomux" {
	import type { NoiseStream } from "@hyperswarm/secret-stream";
	import type { Encoding, State } from "compact-encoding";
	export interface Message<T> {
		/** False when the stream's buffer is full; the message is queued all the same. */
		send(message: T): boolean;
	}
	export interface Channel {
		readonly opened: boolean;
		readonly closed: boolean;
		/** Whether the stream takes more. */
		readonly drained: boolean;
		addMessage<T>(options: {
			encoding: Encoding<T>;
			onmessage?: (message: T) => void;
		}): Message<T>;
		open(): void;
		close(): void;
	}
	export default class Protomux {
		constructor(stream: NoiseStream);
		/** What frames come to. None of the three is documented: `mux.ts` and its test hold them to this version. */
		protected _onopensession(frame: State): Promise<void> | null;
		protected _onbatch(frame: State): void;
		protected _safeDestroy(error: Error): void;
		static from(stream: NoiseStream): Protomux;
		readonly stream: NoiseStream;
		readonly drained: boolean;
		/** What is sent until `uncork` goes in one frame. */
		cork(): void;
		uncork(): void;
		createChannel(options: {
			protocol: string;
			id?: Uint8Array;
			onopen?: () => void;
			onclose?: () => void;
			ondrain?: () => void;
		}): Channel | null;
		destroy(error?: Error): void;
	}
}
