import type { Log } from "../base/log.ts";
import { MINUTE, monotonic, SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";
import type { Answer } from "../swarm/survey.ts";
import type { Swarm } from "../swarm/swarm.ts";
import type { Check } from "../wire/ipc.ts";
import type { State } from "../wire/reports.ts";
import { finding } from "./finding.ts";

const EVERY: Millis = 30 * SECOND;
/** A box that cannot be reached loses its placement: DHT nodes that start again, or boxes that do, must not cost them that. */
const PATIENCE: Millis = 5 * MINUTE;
/** So many of the DHT nodes met are asked besides the operator's. */
const MET = 8;
/** Fewer nodes do not tell a NAT that gives each another port from one that does not. */
const ENOUGH = 3;

/** What is known of how neighbours can reach this box. */
export interface ReachFacts {
	readonly configured: "direct" | "nat";
	/** The UDP port that it listens on. */
	readonly port: number;
	/** Boxes connected now. */
	readonly neighbours: number;
	/** Whether any box was ever connected since the start. */
	readonly met: boolean;
	/** The addresses, `host:port`, by which those DHT nodes see it that answered just now, one for each. */
	readonly seen: readonly string[];
	/** Whether everybody sees it at the same port; `unknown` until enough nodes have answered. */
	readonly ports: "same" | "random" | "unknown";
	/** Since a DHT node last answered, or since the start. */
	readonly silent: Millis;
	/** Since the start. */
	readonly up: Millis;
}

export interface Verdict {
	readonly reach: State["reach"];
	readonly check: Check;
}

/**
 * `none` only where nobody could have reached the box for as long as `patience`: no DHT node answers, so that nobody finds it,
 * or a NAT gives it another port towards everybody and no neighbour ever got through. Otherwise what is configured stands.
 */
export function judgeReach(facts: ReachFacts, patience = PATIENCE): Verdict {
	const { configured, port, neighbours, met, seen, ports } = facts;
	const stands = (level: Check["level"], text: string, remedy?: string) => ({
		reach: configured,
		check: finding("reach", level, `${configured}: ${text}`, remedy),
	});
	const none = (text: string, remedy: string): Verdict => {
		const rest = "Meanwhile titles come from the origin.";
		const check = finding("reach", "fail", text, `${remedy} ${rest}`);
		return { reach: "none", check };
	};
	if (seen.length === 0) {
		const text = `no DHT node has answered for ${spanOf(facts.silent)}`;
		const remedy =
			"Check that the nodes of swarm.bootstrap run and that UDP gets through to them and back.";
		if (neighbours === 0 && facts.silent >= patience)
			return none(`${text}, so no other box can find this one`, remedy);
		return stands(
			"warn",
			`${text}; ${neighbours} neighbours are connected`,
			remedy,
		);
	}
	if (ports === "random") {
		const text = "a NAT gives this box another port towards each other node";
		const remedy = `Let the home gateway forward UDP port ${port} to this box, and set swarm.reach to "direct".`;
		if (!met && facts.up >= patience)
			return none(`${text}, and no neighbour ever got through`, remedy);
		return stands("warn", `${text}; some neighbours cannot connect`, remedy);
	}
	if (configured === "direct" && !seen.some((at) => at.endsWith(`:${port}`)))
		return stands(
			"warn",
			`a NAT stands between: DHT nodes see port ${port} as ${seen[0]}`,
			'Set swarm.reach to "nat".',
		);
	if (configured === "nat" && ports === "unknown" && neighbours === 0)
		return stands(
			"warn",
			`not known yet; ${seen.length} DHT nodes answer, and it takes ${ENOUGH} to know the NAT`,
			"Name at least four DHT nodes in swarm.bootstrap.",
		);
	return stands("ok", `DHT nodes see this box at ${seen[0]}`);
}

/** HyperDHT's own rule for a NAT that it calls random: enough nodes see the box, and no two at the same address. */
export function portsOf(seen: readonly string[]): ReachFacts["ports"] {
	if (new Set(seen).size < seen.length) return "same";
	return seen.length >= ENOUGH ? "random" : "unknown";
}

function spanOf(span: Millis): string {
	return span < MINUTE
		? `${Math.round(span / SECOND)} s`
		: `${Math.floor(span / MINUTE)} min`;
}

export interface ReachParts {
	readonly configured: ReachFacts["configured"];
	/** The operator's DHT nodes, `host:port`. */
	readonly bootstrap: readonly string[];
	readonly swarm: Pick<Swarm, "survey" | "nodes" | "standing">;
	/** Neighbours can reach the box in another way than before. */
	readonly onChange: (reach: State["reach"]) => void;
	readonly log: Log;
	readonly every?: Millis;
	readonly patience?: Millis;
}

/** Finds out, now and again, whether neighbours can reach this box. Invariant: one look is taken at a time. */
export class Reach {
	private readonly parts: ReachParts;
	private readonly started = monotonic();
	private answered = monotonic();
	private ports: ReachFacts["ports"] = "unknown";
	private verdict: Verdict;
	private looking: Promise<Verdict> | undefined;
	private timer: NodeJS.Timeout | undefined;
	private closed = false;

	constructor(parts: ReachParts) {
		this.parts = parts;
		const check = finding("reach", "warn", "not known yet");
		this.verdict = { reach: parts.configured, check };
		void this.look();
	}

	/** What the last look came to. */
	get current(): Verdict {
		return this.verdict;
	}

	/** Looks now; takes a few seconds when DHT nodes are silent. */
	look(): Promise<Verdict> {
		this.looking ??= this.observe().finally(() => {
			this.looking = undefined;
			clearTimeout(this.timer);
			if (this.closed) return;
			const { every = EVERY } = this.parts;
			this.timer = setTimeout(() => void this.look(), every).unref();
		});
		return this.looking;
	}

	close(): void {
		this.closed = true;
		clearTimeout(this.timer);
	}

	private async observe(): Promise<Verdict> {
		const { bootstrap, swarm, configured, patience, onChange, log } =
			this.parts;
		const asked = new Set([...bootstrap, ...swarm.nodes.slice(0, MET)]);
		const seen = sightings(await swarm.survey([...asked]));
		if (this.closed) return this.verdict;
		const now = monotonic();
		if (seen.length > 0) this.answered = now;
		const ports = portsOf(seen);
		if (ports !== "unknown") this.ports = ports;
		const before = this.verdict.reach;
		this.verdict = judgeReach(
			{
				...{ configured, ...swarm.standing, seen, ports: this.ports },
				silent: now - this.answered,
				up: now - this.started,
			},
			patience,
		);
		const { reach, check } = this.verdict;
		if (reach === before) return this.verdict;
		log.warn({ reach, finding: check.finding }, "reach changed");
		onChange(reach);
		return this.verdict;
	}
}

/** One for each node, by whatever names it was asked. */
function sightings(answers: readonly Answer[]): string[] {
	const byNode = new Map<string, string>();
	for (const { seen } of answers)
		if (seen.ok) byNode.set(seen.value.by, seen.value.at);
	return [...byNode.values()];
}
