import { createHash } from "node:crypto";
import type { NoiseStream } from "@hyperswarm/secret-stream";
import type HyperDHT from "hyperdht";
import Hyperswarm from "hyperswarm";
import Protomux from "protomux";
import { Pacer } from "../act/pacer.ts";
import {
	type BlockRequest,
	type Candidate,
	NeighbourFailed,
	type Neighbours,
} from "../act/ports.ts";
import type { Log } from "../base/log.ts";
import { SECOND, within } from "../base/time.ts";
import type { Bytes, Rate } from "../base/units.ts";
import { MAX_MANIFEST } from "../content/manifest.ts";
import type { Wanted } from "../wire/exchange.ts";
import { type BoxId, short, type TitleId } from "../wire/ids.ts";
import { type KeyPair, secretKey } from "../wire/keys.ts";
import type { Hello } from "../wire/membership.ts";
import { Admission } from "./admission.ts";
import { type DhtSettings, KnownNodes, openDht } from "./dht.ts";
import type { Ask } from "./download.ts";
import { GATHER, type Holdings, Inventory } from "./inventory.ts";
import { Link, type Transport } from "./link.ts";
import type { Member, Membership } from "./membership.ts";
import { Neighbour } from "./neighbour.ts";
import { Seeking } from "./seeking.ts";
import { dialTcp, listenTcp, type TcpListener } from "./tcp.ts";
import type { Shelf } from "./upload.ts";

const MAX_HOLDERS = 16 * 1024 * 1024;
/** Holders dialled beyond the neighbours that the topic brings. */
const MAX_DIALLED = 32;
const DIAL_AGAIN = 10 * SECOND;
const DIALLED_IDLE = 60 * SECOND;
const EXILE = 10 * 60 * SECOND;

export interface SwarmOptions {
	readonly keyPair: KeyPair;
	readonly networkSecret: Uint8Array;
	readonly membership: Omit<Membership, "tcp" | "isRevoked"> & {
		readonly isRevoked: (box: BoxId) => boolean;
	};
	readonly dht: DhtSettings;
	readonly maxPeers: number;
	/** Undefined: no TCP, everything over the Hyperswarm stream. `host` is what neighbours are told; else they use the address they see. */
	readonly tcp:
		| { readonly host: string | undefined; readonly port: number }
		| undefined;
	readonly up: Rate;
	readonly shelf: Shelf;
	readonly holdings: Holdings;
	/** A member's Hyperswarm stream, for logs to replicate on. */
	readonly onMember: (stream: NoiseStream, member: Member) => void;
	readonly onTraffic: (direction: "from" | "to", bytes: Bytes) => void;
	readonly log: Log;
}

/** The private swarm of one region: finds neighbours, lets in members only, and moves titles between them. */
export class Swarm implements Neighbours {
	readonly pacer: Pacer;
	readonly neighbours = new Map<BoxId, Neighbour>();
	private readonly options: SwarmOptions;
	private readonly dht: HyperDHT;
	private readonly hyperswarm: Hyperswarm;
	private readonly known: KnownNodes;
	private readonly admission: Admission;
	private readonly log: Log;
	private listener: TcpListener | undefined;
	private seeking: Seeking | undefined;
	private closing = false;
	private readonly watched = new Map<TitleId, number>();
	private readonly listeners = new Set<(id: TitleId) => void>();
	private readonly dialling = new Map<BoxId, number>();
	private readonly dialled = new Map<BoxId, NoiseStream>();
	private readonly dirty = new Map<TitleId, Set<number>>();
	private gathering: NodeJS.Timeout | undefined;
	private readonly reaper: NodeJS.Timeout;

	private constructor(options: SwarmOptions, dht: HyperDHT) {
		this.options = options;
		this.log = options.log;
		this.dht = dht;
		this.pacer = new Pacer(options.up);
		this.known = new KnownNodes(dht, options.dht.knownFile, options.log);
		this.admission = new Admission(
			{ ...options.membership, tcp: () => this.tcpAddress() },
			EXILE,
			options.log,
		);
		this.hyperswarm = new Hyperswarm({
			dht,
			keyPair: {
				publicKey: options.keyPair.publicKey,
				secretKey: secretKey(options.keyPair),
			},
			maxPeers: options.maxPeers,
		});
		this.hyperswarm.on("connection", (stream) => this.onStream(stream, "udx"));
		this.reaper = setInterval(() => this.reap(), DIALLED_IDLE / 4);
		this.reaper.unref();
	}

	/** Opens the DHT, the listener and the region's topic. Throws NO_BOOTSTRAP or PORT_TAKEN. */
	static async open(options: SwarmOptions): Promise<Swarm> {
		const dht = await openDht(options.dht, options.keyPair);
		const swarm = new Swarm(options, dht);
		if (options.tcp !== undefined) {
			swarm.listener = await listenTcp(
				options.dht.host,
				options.tcp.port,
				options.keyPair,
				({ stream, release }) => swarm.onStream(stream, "tcp", release),
			);
		}
		await swarm.hyperswarm.listen();
		swarm.seeking = new Seeking(
			swarm.hyperswarm.join(
				regionTopic(options.networkSecret, options.membership.region),
			),
			() => swarm.neighbours.size,
			options.log,
		);
		return swarm;
	}

	get dhtPort(): number {
		return this.dht.port;
	}

	get tcpPort(): number | undefined {
		return this.listener?.port;
	}

	/** Whether this box knows DHT nodes besides itself. */
	get online(): boolean {
		return this.dht.online && this.dht.toArray().length > 0;
	}

	/** Why connections were refused, by slug, since the start. */
	get refusals(): ReadonlyMap<string, number> {
		return this.admission.refusals;
	}

	watch(id: TitleId): () => void {
		const users = this.watched.get(id) ?? 0;
		this.watched.set(id, users + 1);
		if (users === 0) {
			for (const neighbour of this.neighbours.values()) neighbour.want([id]);
		}
		let ended = false;
		return () => {
			if (ended) return;
			ended = true;
			const left = (this.watched.get(id) ?? 1) - 1;
			if (left > 0) {
				this.watched.set(id, left);
				return;
			}
			this.watched.delete(id);
			for (const neighbour of this.neighbours.values()) neighbour.unwant(id);
		};
	}

	onNews(listener: (id: TitleId) => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/** The store changed: neighbours that asked hear of it within GATHER. */
	announce(id: TitleId, shard: number): void {
		const shards = this.dirty.get(id) ?? new Set();
		this.dirty.set(id, shards.add(shard));
		this.gathering ??= setTimeout(() => {
			this.gathering = undefined;
			for (const [title, changed] of this.dirty) {
				for (const neighbour of this.neighbours.values()) {
					for (const index of changed) neighbour.announce(title, index);
				}
			}
			this.dirty.clear();
		}, GATHER);
	}

	/** A newer head is known: neighbours hear of it, and those that it revokes are cut. */
	headChanged(): void {
		const head = this.options.membership.currentHead();
		for (const neighbour of [...this.neighbours.values()]) {
			if (this.options.membership.isRevoked(neighbour.box)) {
				this.cut(neighbour, "revoked");
			} else if (head !== undefined) neighbour.member?.tell(head);
		}
	}

	candidates(id: TitleId, shard: number): readonly Candidate[] {
		const candidates: Candidate[] = [];
		for (const neighbour of this.neighbours.values()) {
			const candidate = neighbour.candidate(id, shard);
			if (candidate !== undefined) candidates.push(candidate);
		}
		return candidates;
	}

	isConnected(box: BoxId): boolean {
		return this.neighbours.has(box) || this.dialled.has(box);
	}

	dial(boxes: readonly BoxId[]): void {
		const now = Date.now();
		for (const box of boxes) {
			if (this.closing || this.dialled.size >= MAX_DIALLED) return;
			if (this.isConnected(box) || this.admission.isExiled(box)) continue;
			if (box === this.options.keyPair.publicKey.toString("hex")) continue;
			if (now - (this.dialling.get(box) ?? -DIAL_AGAIN) < DIAL_AGAIN) continue;
			this.dialling.set(box, now);
			this.dialNow(box);
		}
	}

	async manifest(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		return await this.fromAny(id, "manifest", MAX_MANIFEST, signal);
	}

	async holders(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		return await this.fromAny(id, "holders", MAX_HOLDERS, signal);
	}

	async leaves(
		box: BoxId,
		id: TitleId,
		shard: number,
		bytes: Bytes,
		signal: AbortSignal,
	): Promise<Buffer> {
		return await this.gather(box, "leaves", id, shard, bytes, bytes, signal);
	}

	async blocks(
		box: BoxId,
		{ title, run, bytes, blockSize, urgent }: BlockRequest,
		onBlock: (block: number, bytes: Buffer) => void,
		signal: AbortSignal,
	): Promise<void> {
		const { shard, first, count } = run;
		let rest: Buffer = Buffer.alloc(0);
		let block = first;
		await this.ask(
			box,
			{
				request: { wanted: "blocks", title, shard, first, count, urgent },
				exact: bytes,
				limit: bytes,
				onBytes(offset, total, part) {
					const all = rest.length > 0 ? Buffer.concat([rest, part]) : part;
					const ended = offset + part.length === total;
					let at = 0;
					while (all.length - at >= blockSize || (ended && at < all.length)) {
						onBlock(block++, all.subarray(at, at + blockSize));
						at += blockSize;
					}
					rest = all.subarray(at);
				},
			},
			signal,
		);
	}

	expel(box: BoxId, slug: string): void {
		this.admission.exile(box);
		const neighbour = this.neighbours.get(box);
		if (neighbour !== undefined) this.cut(neighbour, slug);
	}

	async close(): Promise<void> {
		this.closing = true;
		this.seeking?.close();
		clearInterval(this.reaper);
		clearTimeout(this.gathering);
		for (const neighbour of [...this.neighbours.values()]) {
			this.cut(neighbour, "leaving");
		}
		for (const stream of this.dialled.values()) stream.destroy();
		await this.known.close();
		await this.listener?.close();
		// Unannouncing asks DHT nodes that may be gone.
		await within(1_500, this.hyperswarm.destroy(), undefined);
		if (!this.dht.destroyed) await this.dht.destroy({ force: true });
	}

	private onStream(
		stream: NoiseStream,
		transport: Transport,
		release?: () => void,
	): void {
		stream.on("error", (error) => {
			this.log.debug({ err: error, transport }, "a connection ended");
		});
		if (this.closing) {
			stream.destroy();
			return;
		}
		const mux = Protomux.from(stream);
		this.admission.admit(mux, transport, (member) => {
			release?.();
			this.onMember(stream, transport, member);
		});
	}

	private onMember(
		stream: NoiseStream,
		transport: Transport,
		member: Member,
	): void {
		const neighbour =
			this.neighbours.get(member.box) ?? new Neighbour(member.box);
		const isNew = !this.neighbours.has(member.box);
		this.neighbours.set(member.box, neighbour);
		const traffic = {
			received: (bytes: Bytes) => {
				neighbour.received += bytes;
				neighbour.lastUsed = Date.now();
				this.options.onTraffic("from", bytes);
			},
			sent: (bytes: Bytes) => {
				neighbour.sent += bytes;
				neighbour.lastUsed = Date.now();
				this.options.onTraffic("to", bytes);
			},
		};
		const { shelf, holdings, log } = this.options;
		const inventory = new Inventory(Protomux.from(stream), holdings, (id) =>
			this.tell(id),
		);
		const link = new Link(transport, stream, shelf, this.pacer, traffic, log);
		neighbour.add(link, member, inventory);
		if (neighbour.links.length === 1) neighbour.want(this.watched.keys());
		stream.on("close", () => this.onClosed(neighbour, link));
		this.known.noticed();
		if (transport === "udx") {
			this.options.onMember(stream, member);
			this.dialTcp(neighbour, member);
		}
		if (isNew) {
			log.info(
				{ box: short(member.box), role: member.certificate.role, transport },
				"neighbour came",
			);
		}
	}

	private onClosed(neighbour: Neighbour, link: Link): void {
		link.close();
		const wasLast = neighbour.remove(link);
		if (!wasLast) {
			neighbour.want(this.watched.keys());
		} else if (this.neighbours.get(neighbour.box) === neighbour) {
			this.neighbours.delete(neighbour.box);
			this.log.info({ box: short(neighbour.box) }, "neighbour left");
			this.seeking?.again();
		}
		for (const id of this.watched.keys()) this.tell(id);
	}

	private cut(neighbour: Neighbour, slug: string): void {
		this.log.info({ box: short(neighbour.box), slug }, "neighbour cut off");
		for (const link of [...neighbour.links]) link.stream.destroy();
	}

	private dialNow(box: BoxId): void {
		const { keyPair } = this.options;
		const stream = this.dht.connect(Buffer.from(box, "hex"), {
			keyPair: { publicKey: keyPair.publicKey, secretKey: secretKey(keyPair) },
		});
		this.dialled.set(box, stream);
		stream.on("open", () => this.onStream(stream, "udx"));
		stream.on("error", (error) => {
			this.log.debug(
				{ err: error, box: short(box) },
				"dialling a holder failed",
			);
		});
		stream.on("close", () => {
			if (this.dialled.get(box) === stream) this.dialled.delete(box);
		});
	}

	/** The higher key dials, so that two neighbours have one bulk connection and not two. */
	private dialTcp(neighbour: Neighbour, member: Member): void {
		const { keyPair, tcp } = this.options;
		const mine = keyPair.publicKey.toString("hex");
		if (tcp === undefined || member.tcp === undefined || mine < member.box) {
			return;
		}
		if (neighbour.has("tcp")) return;
		const remoteHost = neighbour.links[0]?.stream.rawStream.remoteHost;
		if (member.tcp.host === undefined && remoteHost === undefined) return;
		const key = Buffer.from(member.box, "hex");
		const host = member.tcp.host ?? remoteHost ?? "";
		dialTcp(host, member.tcp.port, keyPair, key).then(
			({ stream, release }) => this.onStream(stream, "tcp", release),
			(error: unknown) => {
				this.log.debug(
					{ err: error, box: short(member.box) },
					"no TCP to this neighbour; exchange stays on its Hyperswarm stream",
				);
			},
		);
	}

	/** Holders that were dialled for one title and are idle make room for others. */
	private reap(): void {
		const now = Date.now();
		for (const [box, stream] of this.dialled) {
			const neighbour = this.neighbours.get(box);
			if (neighbour && now - neighbour.lastUsed > DIALLED_IDLE) {
				stream.destroy();
			}
		}
	}

	private tell(id: TitleId): void {
		for (const listener of this.listeners) listener(id);
	}

	private tcpAddress(): Hello["tcp"] {
		const { tcp } = this.options;
		if (tcp === undefined || this.listener === undefined) return undefined;
		return { port: this.listener.port, ...(tcp.host && { host: tcp.host }) };
	}

	private link(box: BoxId): Link {
		const neighbour = this.neighbours.get(box);
		const link = neighbour?.best;
		if (neighbour === undefined || link === undefined) {
			throw new NeighbourFailed("gone");
		}
		neighbour.lastUsed = Date.now();
		return link;
	}

	/** A neighbour whose answers do not keep to the protocol is cut off like one that lies. */
	private async ask(box: BoxId, ask: Ask, signal: AbortSignal): Promise<void> {
		try {
			await this.link(box).download.ask(ask, signal);
		} catch (error) {
			if (error instanceof NeighbourFailed && error.slug === "malformed") {
				this.expel(box, error.slug);
			}
			throw error;
		}
	}

	/** Those that hold some of the title first, then everybody; one after the other. */
	private async fromAny(
		id: TitleId,
		wanted: Wanted,
		limit: Bytes,
		signal: AbortSignal,
	): Promise<Buffer> {
		const all = [...this.neighbours.values()];
		const ordered = [
			...all.filter((neighbour) => neighbour.holdsAny(id)),
			...all.filter((neighbour) => !neighbour.holdsAny(id)),
		];
		for (const { box } of ordered) {
			try {
				return await this.gather(box, wanted, id, 0, undefined, limit, signal);
			} catch (error) {
				if (!(error instanceof NeighbourFailed)) throw error;
			}
		}
		throw new NeighbourFailed("not-held");
	}

	private async gather(
		box: BoxId,
		wanted: Wanted,
		title: TitleId,
		shard: number,
		exact: Bytes | undefined,
		limit: Bytes,
		signal: AbortSignal,
	): Promise<Buffer> {
		const parts: Buffer[] = [];
		await this.ask(
			box,
			{
				request: { wanted, title, shard, first: 0, count: 0, urgent: true },
				...(exact !== undefined && { exact }),
				limit,
				onBytes: (_offset, _total, bytes) => parts.push(bytes),
			},
			signal,
		);
		return Buffer.concat(parts);
	}
}

/** One topic a region; it hides nothing, membership does. */
export function regionTopic(secret: Uint8Array, region: string): Buffer {
	return createHash("sha256")
		.update("larder/topic/1\0")
		.update(secret)
		.update(region)
		.digest();
}
