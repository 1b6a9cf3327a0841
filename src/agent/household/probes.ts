import { MINUTE, monotonic, SECOND, within } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import {
	type Base,
	delayOf,
	isFree,
	learn,
	type Probe,
	RECENT,
	SILENT,
} from "../../plan/queue.ts";
import type { Swarm } from "../../swarm/swarm.ts";

/** Questions that wait for their answers at a time: four seconds' worth, or one where they go often. */
const OPEN = 16;
/** Who owes an answer for so long is gone, or his answers wait in the queue: others of the region are asked, who tell one from the other. */
const DOUBT: Millis = 0.15 * SECOND;
const WITNESSES = 4;
/** So long one of them stands in for the operator's nodes before those are tried again. */
const STAND_IN: Millis = MINUTE;

export interface ProbePorts {
	/** The operator's DHT nodes, `host:port`: they lie beyond the access link, where the home gateway does not. */
	readonly nodes: readonly string[];
	readonly swarm: Pick<Swarm, "ping" | "survey" | "nodes">;
	/** Whether a host lies on this side of the access link. */
	readonly isNear: (host: string) => boolean;
	readonly now?: () => Millis;
	readonly random?: () => number;
}

interface Question {
	readonly asked: Millis;
	trip: Millis | undefined;
	/** Whether an answer can still come. */
	isOpen: boolean;
}

/**
 * Asks one of the operator's nodes how long the way to it and back takes; while those are gone, a neighbour. Invariant: all of `probes` and `base` is of
 * `node`.
 */
export class Probes {
	private readonly ports: ProbePorts;
	private readonly now: () => Millis;
	private turn: number;
	/** By its IPv4 address: looking a name up takes time of its own. Undefined while it is looked for. */
	private node: string | undefined;
	private probes: Question[] = [];
	private base: Base = [];
	private heardAt: Millis = Number.NEGATIVE_INFINITY;
	/** When it is left for another, though it answers. */
	private until: Millis = Number.POSITIVE_INFINITY;
	private choosing = false;
	private doubting = false;

	constructor(ports: ProbePorts) {
		this.ports = ports;
		this.now = ports.now ?? monotonic;
		// The boxes of a region spread over all nodes.
		const { random = Math.random } = ports;
		this.turn = Math.floor(random() * ports.nodes.length);
		void this.choose();
	}

	/** Asks once more, unless too many answers are owed; another node where this one is silent. */
	ask(): void {
		const now = this.now();
		const owed = this.probes.find(({ isOpen }) => isOpen)?.asked ?? now;
		const silence = now - Math.max(owed, this.heardAt);
		if (this.node === undefined || silence > SILENT || now >= this.until)
			void this.choose();
		else if (silence > DOUBT) void this.doubt(this.node);
		if (this.node === undefined) return;
		this.probes = this.probes.filter(
			({ asked, isOpen }) => isOpen || now - asked < RECENT,
		);
		if (this.probes.filter(({ isOpen }) => isOpen).length >= OPEN) return;
		const question = { asked: now, trip: undefined, isOpen: true };
		this.probes.push(question);
		void this.answer(this.node, question);
	}

	/** How long a packet waits at the uplink; undefined while nothing is known. */
	get delay(): Millis | undefined {
		const probes: readonly Probe[] = this.probes;
		return delayOf(this.base, probes, this.heardAt, this.now());
	}

	/** A node that answers, and how soon; undefined when none does. Asks one after another, once for whoever wants to know. */
	readonly find = async (): Promise<
		{ readonly node: string; readonly trip: Millis } | undefined
	> => {
		const { nodes, swarm } = this.ports;
		for (const { seen } of await swarm.survey(nodes)) {
			if (!seen.ok) continue;
			const node = seen.value.by;
			const trip = await swarm.ping(node);
			if (trip !== undefined) return { node, trip };
		}
		return undefined;
	};

	private async answer(node: string, question: Question): Promise<void> {
		const trip = await this.ports.swarm.ping(node);
		question.isOpen = false;
		if (trip === undefined || node !== this.node) return;
		question.trip = trip;
		this.heardAt = this.now();
		this.base = learn(this.base, trip, this.heardAt);
	}

	/** The next node that answers, or somebody else. Never rejects. */
	private async choose(): Promise<void> {
		const { nodes, swarm } = this.ports;
		const next = nodes[this.turn++ % nodes.length];
		if (this.choosing || next === undefined) return;
		this.choosing = true;
		this.turnTo(undefined);
		const [answer] = await swarm.survey([next]);
		if (answer?.seen.ok === true) this.turnTo(answer.seen.value.by);
		else await this.replace(() => this.node === undefined);
		this.choosing = false;
	}

	/** Never rejects. */
	private async doubt(node: string): Promise<void> {
		if (this.doubting) return;
		this.doubting = true;
		const since = this.now();
		const replacing = this.replace(
			(trip) =>
				this.node === node && this.heardAt < since && isFree(this.base, trip),
		);
		// They may be gone themselves: then others are asked.
		await within(DOUBT, replacing, undefined);
		this.doubting = false;
	}

	/** Has somebody of the region who answers stand in for the operator's nodes, if `isRight` when the answer is there. */
	private async replace(isRight: (trip: Millis) => boolean): Promise<void> {
		const { swarm, isNear, random = Math.random } = this.ports;
		// One in the same home answers at once however full the uplink is.
		const others = swarm.nodes.filter(
			(node) => node !== this.node && !isNear(hostOf(node)),
		);
		const from = Math.floor(random() * others.length);
		const some = [...others.slice(from), ...others.slice(0, from)];
		await Promise.all(
			some.slice(0, WITNESSES).map(async (node) => {
				const trip = await swarm.ping(node);
				if (trip === undefined || !isRight(trip)) return;
				this.turnTo(node, this.now() + STAND_IN);
				this.heardAt = this.now();
				this.base = learn(this.base, trip, this.heardAt);
			}),
		);
	}

	private turnTo(node: string | undefined, until = Number.POSITIVE_INFINITY) {
		this.node = node;
		this.until = until;
		this.probes = [];
		this.base = [];
	}
}

/** Of `host:port`. */
function hostOf(node: string): string {
	return node.slice(0, node.lastIndexOf(":"));
}
