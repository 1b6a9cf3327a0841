import { once } from "node:events";
import {
	BlockList,
	createServer as createTcpServer,
	isIPv6,
	type Server,
	type Socket,
} from "node:net";
import {
	createServer as createTlsServer,
	TLSSocket,
	Server as TlsServer,
} from "node:tls";
import { Aedes, type AuthenticateError, type Client } from "aedes";
import { LarderError, systemCode } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { SECOND } from "../../base/time.ts";
import { type Bytes, KiB } from "../../base/units.ts";
import { isBoxId } from "../../wire/ids.ts";
import { MAX_MESSAGE } from "../../wire/json.ts";
import { parseTopic } from "../../wire/topics.ts";

export interface BrokerOptions {
	/** A loopback address unless there is TLS: without it a client's name is only its word. */
	readonly host: string;
	/** 0 takes a free one. */
	readonly port: number;
	/** With it, clients come in by certificates of the operator's, each under the certificate's name only. */
	readonly tls?: BrokerTls;
	readonly log: Log;
}

/** All in PEM. */
export interface BrokerTls {
	readonly ca: string;
	/** The server's certificate, the issuer's behind it. */
	readonly cert: string;
	readonly key: string;
	/** A revocation list of each authority that there is, `ca` too. */
	readonly crl: string[];
}

export interface Broker {
	readonly port: number;
	/** With TLS: has new connections judged by these; those that live are left. */
	renew(tls: BrokerTls): void;
	close(): Promise<void>;
}

/** Clients whose name begins like this may publish and subscribe to everything that is Larder's. */
export const HEADEND = "headend-";

/** A message, its topic and what one read of the socket may bring beyond. */
const UNREAD: Bytes = MAX_MESSAGE + 128 * KiB;
/** "Identifier rejected" in MQTT 3.1.1. */
const IDENTIFIER_REJECTED = 2;

const HANDSHAKE = {
	requestCert: true,
	rejectUnauthorized: true,
	minVersion: "TLSv1.2",
	handshakeTimeout: 10 * SECOND,
} as const;

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet("127.0.0.0", 8, "ipv4");
LOOPBACK.addAddress("::1", "ipv6");

/**
 * A small MQTT 3.1.1 broker for the desk and small networks: it forgets everything when it stops.
 * Throws CONFIG_INVALID for a host that others could reach, PORT_TAKEN.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
	const { host, port, tls, log } = options;
	if (tls === undefined && !isLoopback(host))
		throw new LarderError(
			"CONFIG_INVALID",
			`without TLS the embedded broker listens on loopback only, not on ${host}`,
		);
	const aedes = await Aedes.createBroker({
		authenticate: (client, _name, _password, done) =>
			mayConnect(client) ? done(null, true) : done(rejected(client), false),
		authorizePublish: (client, { topic, payload }, done) => {
			const fits = payload.length <= MAX_MESSAGE;
			const allowed = client !== null && fits && mayPublish(client.id, topic);
			if (!allowed) log.warn({ client: client?.id, topic }, "publish refused");
			done(allowed ? null : new Error(`${topic} is not yours to write`));
		},
		authorizeSubscribe: (client, subscription, done) => {
			const allowed = maySubscribe(client.id, subscription.topic);
			if (!allowed)
				log.warn(
					{ client: client.id, topic: subscription.topic },
					"subscription refused",
				);
			done(null, allowed ? subscription : null);
		},
	});
	aedes.addListener("error", (error: Error) => log.error({}, error.message));
	aedes.on("clientError", (client, error) =>
		log.debug({ client: client.id }, error.message),
	);
	aedes.on("connectionError", (_client, error) => log.debug({}, error.message));
	const guard = guardPackets(aedes);
	const sockets = new Set<Socket>();
	const server = openServer(tls, (socket) => {
		guard(socket);
		aedes.handle(socket);
	});
	server.on("connection", (socket) => {
		sockets.add(socket);
		socket.on("close", () => sockets.delete(socket));
	});
	server.on("tlsClientError", (error: Error) => log.debug({}, error.message));
	server.listen(port, host);
	try {
		await once(server, "listening");
	} catch (cause) {
		aedes.close();
		const taken = systemCode(cause) === "EADDRINUSE";
		throw new LarderError(
			taken ? "PORT_TAKEN" : "BROKER_FAILED",
			`the broker cannot listen on ${host}:${port}`,
			{ cause },
		);
	}
	const address = server.address();
	return {
		port: address !== null && typeof address === "object" ? address.port : port,
		renew(tls) {
			if (server instanceof TlsServer) server.setSecureContext(tls);
		},
		async close() {
			const closed = once(server, "close");
			server.close();
			await new Promise<void>((resolve) => aedes.close(resolve));
			for (const socket of sockets) socket.destroy();
			await closed;
		},
	};
}

function isLoopback(host: string): boolean {
	if (host === "localhost") return true;
	return LOOPBACK.check(host, isIPv6(host) ? "ipv6" : "ipv4");
}

function openServer(
	tls: BrokerTls | undefined,
	onClient: (socket: Socket) => void,
): Server {
	if (tls === undefined) return createTcpServer({ noDelay: true }, onClient);
	return createTlsServer({ ...tls, ...HANDSHAKE, noDelay: true }, onClient);
}

/** By a name that is a box's or a headend's, and that the certificate bears where there is one. */
function mayConnect({ id, conn }: Client): boolean {
	if (!isBoxId(id) && !id.startsWith(HEADEND)) return false;
	return (
		!(conn instanceof TLSSocket) || conn.getPeerCertificate().subject.CN === id
	);
}

/** A box writes what goes up from it, and among all of a region how films were to watch; the headend writes what is Larder's. */
function mayPublish(client: string, topic: string): boolean {
	const address = parseTopic(topic);
	if (address === undefined) return false;
	if (client.startsWith(HEADEND)) return true;
	if (address.to === "region") return address.kind === "quality";
	return address.to === "headend" && address.box === client;
}

/** A box reads what comes down to it, and heads; it may use no wildcard. */
function maySubscribe(client: string, filter: string): boolean {
	if (client.startsWith(HEADEND)) return filter.startsWith("larder/v1/");
	const address = parseTopic(filter);
	if (address === undefined) return false;
	return (
		(address.to === "region" && address.kind === "head") ||
		(address.to === "box" && address.box === client)
	);
}

function rejected(client: Client): AuthenticateError {
	const error = new Error(
		`${client.id} is neither a box nor a headend, or somebody else's name`,
	);
	return Object.assign(error, { returnCode: IDENTIFIER_REJECTED });
}

/** Aedes reads a packet whole however large it says it is: ends a connection that sends too much without a packet's end. */
function guardPackets(aedes: Aedes): (socket: Socket) => void {
	const seen = new WeakMap<object, Bytes>();
	const mark = (client: Client | null) => {
		if (client !== null && "bytesRead" in client.conn)
			seen.set(client.conn, client.conn.bytesRead);
	};
	aedes.on("publish", (_packet, client) => mark(client));
	aedes.on("ack", (_packet, client) => mark(client));
	aedes.on("ping", (_packet, client) => mark(client));
	aedes.on("subscribe", (_subscriptions, client) => mark(client));
	return (socket) => {
		socket.on("readable", () => {
			if (socket.bytesRead - (seen.get(socket) ?? 0) > UNREAD) socket.destroy();
		});
	};
}
