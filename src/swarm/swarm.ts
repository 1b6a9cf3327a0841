import { Pacer } from "../act/pacer.ts";
import type { Candidate, Neighbours } from "../act/ports.ts";
import type { Log } from "../base/log.ts";
import { SECOND } from "../base/time.ts";
import type { Limit, Millis, Rate } from "../base/units.ts";
import type { BoxId, TitleId } from "../wire/ids.ts";
import type { KeyPair } from "../wire/keys.ts";
import { FAR, type Level } from "../wire/near.ts";
import { Admission } from "./admission.ts";
import { Bulk } from "./bulk.ts";
import { type DhtSettings, openDht, type PrivateDht } from "./dht.ts";
import { Dialler, MAX_DIALLED } from "./dialler.ts";
import { Finder } from "./finder.ts";
import type { GuardedStream, Transport } from "./guard.ts";
import type { Holdings } from "./inventory.ts";
import type { Member, Membership } from "./membership.ts";
import type { Neighbour } from "./neighbour.ts";
import { type OnTraffic, Roster } from "./roster.ts";
import type { Answer } from "./survey.ts";
import { Transfers } from "./transfers.ts";
import type { Shelf } from "./upload.ts";

const SWEEP: Millis = 15 * SECOND;

export interface SwarmOptions {
	readonly keyPair: KeyPair;
	readonly networkSecret: Uint8Array;
	readonly membership: Omit<Membership, "tcp">;
	readonly dht: DhtSettings;
	readonly maxPeers: number;
	/** Where to listen; undefined: no TCP, everything over the Hyperswarm stream. */
	readonly tcp: { readonly host: string; readonly port: number } | undefined;
	readonly up: Rate;
	readonly shelf: Shelf;
	readonly holdings: Holdings;
	/** A member's Hyperswarm stream, for logs to replicate on. */
	readonly onMember: (stream: GuardedStream, member: Member) => void;
	readonly onTraffic: OnTraffic;
	readonly log: Log;
}

/** The private swarm of one region: finds neighbours, lets in members only, and moves titles between them. Wires the parts. */
export class Swarm implements Neighbours {
	readonly pacer: Pacer;
	/** Members at a time, where memory does not say otherwise. */
	private readonly limit: number;
	private readonly finder: Finder;
	private readonly admission: Admission;
	private readonly roster: Roster;
	private readonly bulk: Bulk;
	private readonly dialler: Dialler;
	private readonly transfers: Transfers;
	private readonly sweeper: NodeJS.Timeout;

	private constructor(options: SwarmOptions, dht: PrivateDht) {
		const { keyPair, maxPeers, log, membership } = options;
		const { shelf, holdings, onTraffic, onMember } = options;
		this.limit = maxPeers + MAX_DIALLED;
		this.pacer = new Pacer(options.up);
		this.admission = new Admission({
			membership: { ...membership, tcp: () => this.bulk.address },
			limit: this.limit,
			log,
		});
		const mine = keyPair.publicKey.toString("hex") as BoxId;
		this.roster = new Roster({
			...{ mine, shelf, holdings, onTraffic, onMember },
			pacer: this.pacer,
			currentHead: membership.currentHead,
			onCame: (neighbour) => {
				this.finder.came();
				this.bulk.open(neighbour);
			},
			onLeft: ({ box }) => {
				this.bulk.forget(box);
				this.finder.left();
			},
			onOffence: (box, slug) => this.expel(box, slug),
			log,
		});
		const enter = (transport: Transport) => (stream: GuardedStream) =>
			this.admission.enter(stream, transport, (member) =>
				this.roster.add(stream, transport, member),
			);
		this.bulk = new Bulk({
			keyPair,
			tcp: options.tcp,
			onStream: enter("tcp"),
			onSocket: (socket) => this.admission.knock(socket),
			onStranger: (socket, cause) => this.admission.strayed(socket, cause),
			log,
		});
		this.dialler = new Dialler({
			dht,
			keyPair,
			isPointless: (box) =>
				box === mine ||
				this.neighbours.has(box) ||
				this.admission.isExiled(box),
			lastUsed: (box) => this.neighbours.get(box)?.lastUsed,
			onStream: enter("udx"),
			log,
		});
		this.transfers = new Transfers(
			this.neighbours,
			membership.trust,
			(box, slug) => this.expel(box, slug),
		);
		this.finder = new Finder({
			...{ dht, keyPair, maxPeers, log },
			knownFile: options.dht.knownFile,
			networkSecret: options.networkSecret,
			region: membership.region,
			neighbours: () => this.neighbours.size,
			onStream: enter("udx"),
		});
		this.sweeper = setInterval(() => {
			this.dialler.sweep();
			this.roster.review();
		}, SWEEP).unref();
	}

	/** Opens the DHT, the listener and the region's topic. Throws NO_BOOTSTRAP, PORT_TAKEN or CONFIG_INVALID. */
	static async open(options: SwarmOptions): Promise<Swarm> {
		const { dht, keyPair, log } = options;
		const swarm = new Swarm(options, await openDht(dht, keyPair, log));
		try {
			await swarm.bulk.listen();
			await swarm.finder.join();
			return swarm;
		} catch (error) {
			await swarm.close();
			throw error;
		}
	}

	get neighbours(): ReadonlyMap<BoxId, Neighbour> {
		return this.roster.neighbours;
	}

	/** At most so many neighbours from now on, as many as configured unless given; those unused for longest go. */
	allow(most = this.limit): void {
		this.admission.limit = most;
		this.roster.shrink(most);
	}

	/** The UDP port that is listened on. */
	get dhtPort(): number {
		return this.finder.port;
	}

	get tcpPort(): number | undefined {
		return this.bulk.port;
	}

	/** DHT nodes that were there when they were last heard, `host:port`. */
	get nodes(): readonly string[] {
		return this.finder.nodes;
	}

	/** How this box stands in the region: its UDP port, how many boxes are connected, and whether one ever was. */
	get standing(): { port: number; neighbours: number; met: boolean } {
		return { port: this.dhtPort, ...this.roster.standing };
	}

	/** Asks DHT nodes, `host:port`, whether they are there; see there. */
	survey(nodes: readonly string[]): Promise<Answer[]> {
		return this.finder.survey(nodes);
	}

	/** How long a DHT node, an IPv4 address and port, takes to answer; undefined when it does not. */
	ping(node: string): Promise<Millis | undefined> {
		return this.finder.ping(node);
	}

	/** Whether this box knows DHT nodes besides itself. */
	get online(): boolean {
		return this.finder.online;
	}

	/** Why connections were refused, by slug, since the start. */
	get refusals(): ReadonlyMap<string, number> {
		return this.admission.refusals;
	}

	watch(id: TitleId): () => void {
		return this.roster.interest.watch(id);
	}

	onNews(listener: (id: TitleId, shard?: number) => void): () => void {
		return this.roster.interest.onNews(listener);
	}

	/** The store changed: neighbours that asked hear of it soon. */
	announce(id: TitleId, shard: number): void {
		this.roster.announce(id, shard);
	}

	/** Other shards may be told of than before: neighbours that asked hear all anew. */
	retell(): void {
		this.roster.retell();
	}

	/** This box is about to sleep: it hands over what it gives, and gives nothing until `stay`. Connections stay. */
	leave(): void {
		this.roster.leave();
	}

	/** It gives again. */
	stay(): void {
		this.roster.stay();
	}

	/** What neighbours are given from now on, in all. With "none" those who wait for something are told at once to ask others. */
	give(limit: Limit): void {
		this.roster.withhold(limit === "none");
		if (limit !== "none") this.pacer.rate = limit;
	}

	/** Calls `listener` whenever a neighbour wants something of this box, before anything is given. */
	onWanted(listener: () => void): void {
		this.roster.onWanted = listener;
	}

	/** This box slept for so long that its connections are gone, whether it knows or not: it looks for its neighbours anew. */
	redial(): void {
		this.roster.cutAll("slept");
		this.dialler.forget();
		this.finder.seek();
	}

	/** A newer head is known: neighbours hear of it, and those that it revokes are cut. */
	headChanged(): void {
		this.roster.headChanged();
	}

	/** This box has another certificate, or is in other groups: neighbours see it. */
	renewed(): void {
		this.roster.renewed();
	}

	candidates(id: TitleId, shard: number): readonly Candidate[] {
		return this.roster.candidates(id, shard);
	}

	resting(id: TitleId, shard: number): readonly string[] {
		return this.roster.resting(id, shard);
	}

	copies(id: TitleId, shard: number): number | undefined {
		return this.roster.interest.copies(id, shard);
	}

	turn(id: TitleId, piece: number): number {
		return this.roster.turn(id, piece);
	}

	level(box: BoxId): Level {
		return this.neighbours.get(box)?.level ?? FAR;
	}

	isConnected(box: BoxId): boolean {
		return this.neighbours.has(box) || this.dialler.has(box);
	}

	dial(boxes: readonly BoxId[]): void {
		this.dialler.dial(boxes);
	}

	manifest(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		return this.transfers.manifest(id, signal);
	}

	holders(id: TitleId, signal: AbortSignal): Promise<Buffer> {
		return this.transfers.holders(id, signal);
	}

	leaves(...asked: Parameters<Transfers["leaves"]>): Promise<Buffer> {
		return this.transfers.leaves(...asked);
	}

	blocks(...asked: Parameters<Transfers["blocks"]>): Promise<void> {
		return this.transfers.blocks(...asked);
	}

	expel(box: BoxId, slug: string): void {
		this.admission.banish(box, slug);
		this.roster.cut(box, slug);
	}

	async close(): Promise<void> {
		clearInterval(this.sweeper);
		this.dialler.close();
		this.admission.close();
		await this.bulk.close();
		await this.finder.close();
	}
}
