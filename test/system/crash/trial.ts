import { monotonic, SECOND, within } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { poll } from "../desk.ts";
import {
	askedTwice,
	lostSince,
	lyingIn,
	misstated,
	none,
	placedIn,
	shardsOf,
	usedBy,
	wholeBytes,
	wholeIn,
} from "./checks.ts";
import { flip } from "./damage.ts";
import type { Kind, Point } from "./points.ts";
import { type Leave, type Life, type Rig, SCANT } from "./rig.ts";
import {
	type Killed,
	namesIn,
	readTruth,
	strangeIn,
	type Truth,
} from "./truth.ts";

/** What the issue asks of a start. */
const START: Millis = 2 * SECOND;
/** A call that does not come in so long does not come. */
const NEVER: Millis = 4 * SECOND;
/** A shard more or less, and what of the capacity is for what nobody placed. */
const MARGIN = 0.75;
/** So few that are missing are no work. */
const WORK = 8;

/**
 * Kills a box at one point after the other, and holds it to what lies on its disk. Each check throws, with what is wrong.
 * Invariant: between two points the box does not run.
 */
export class Trial {
	/** How long each start took. */
	readonly starts: Millis[] = [];
	private readonly rig: Rig;
	/** Shards of which a block was changed on the disk, and that have not been whole since. */
	private readonly flipped = new Set<string>();
	/** Shards put into the inbox: there until they are whole among the others. */
	private readonly brought = new Set<string>();
	private leave: Leave = { fills: true };
	private kind: Kind = "fill";
	/** Whether another program has taken the disk. */
	private recorded = false;
	/** Of these, those of which the agent's log has told: it veils titles. */
	private readonly damaged = new Set<number>();

	constructor(rig: Rig) {
		this.rig = rig;
	}

	/** The box for the first time: it takes all in, and what it holds goes on a stick. */
	async begin(): Promise<void> {
		await this.mend();
		await this.rig.export();
	}

	/** Brings the box to a point and kills it there. */
	async killAt(point: Point): Promise<Killed> {
		const { kind, when } = point;
		const isAgain = kind === "restart";
		if (!isAgain) await this.prepare(point);
		const trap = "trap" in when ? when.trap : undefined;
		let killed: Omit<Killed, "truth"> | undefined;
		const truth = await this.live(this.leave, trap, async (life) => {
			const { exited } = life.process;
			const end = new AbortController();
			const change = isAgain ? undefined : this.rig.change(end.signal);
			if (!isAgain) await this.disturb(point, life);
			if ("after" in when)
				await within(NEVER, Promise.race([change, exited]), undefined);
			end.abort();
			const rest = "after" in when ? when.after : NEVER;
			const exit = await within(rest, exited, false);
			killed = { at: monotonic() - life.began, isMet: exit !== false };
		});
		if (killed === undefined) throw new Error("it did not live");
		return { ...killed, truth };
	}

	/** Starts the box and leaves it in peace: what it says that it holds is what lies there, and nothing else lies there. */
	async examine(): Promise<void> {
		const { rig } = this;
		const { films, data } = rig;
		await this.erase();
		await this.live({ fills: false }, undefined, async ({ ready }) => {
			await ready;
			for (const film of films)
				await poll("the inbox is empty", async () => {
					const names = await namesIn(rig.inbox(film));
					return names.every((name) => !/^\d/.test(name));
				});
			const whole = wholeIn(await readTruth(data, films));
			const gone = [...this.brought].filter((key) => !whole.has(key));
			none("brought, and nowhere", gone);
			this.brought.clear();
			let wrong: string[] = [];
			const look = async () => {
				const truth = await readTruth(data, films);
				wrong = misstated(films, truth, (film, shard) =>
					rig.giver.told(rig.box, film, shard),
				);
				const { store } = await rig.status();
				const used = await usedBy(data, films, truth);
				if (store.usedSpace !== used)
					wrong.push(`says it takes ${store.usedSpace} of ${used} bytes`);
				wrong.push(...(await strangeIn(data, films, "repaired")));
				return wrong.length === 0;
			};
			await poll("the inventory is the truth", look).catch((error) => {
				throw new Error(wrong.join("\n"), { cause: error });
			});
		});
		if (this.kind === "scrub") await this.mend();
	}

	/** Lets the box get all that it lacks, and find what was changed. */
	async mend(): Promise<void> {
		const { rig, flipped, damaged } = this;
		await this.erase();
		const unsaid = () =>
			[...flipped].filter((key) => !damaged.has(Number(key.split("/")[1])));
		const unseen = unsaid().length;
		await this.live({ fills: true }, undefined, async ({ ready }) => {
			await ready;
			await poll("it holds all", async () => {
				const truth = await readTruth(rig.data, rig.films);
				return wholeIn(truth).size === rig.shards;
			});
			await poll("the operator hears of what was damaged", async () => {
				const { disk } = rig.desk.observer.fills.get(rig.box) ?? {};
				return unseen === 0 || (disk?.changed ?? 0) >= unseen;
			});
		});
		none("damaged, and the log says nothing", unsaid());
		flipped.clear();
		damaged.clear();
	}

	/** The other program's recording is deleted. */
	private async erase(): Promise<void> {
		await this.rig.erase();
		this.recorded = false;
	}

	/** From a start to a kill, and what must be so after any. Gives what lies there then. */
	private async live(
		leave: Leave,
		trap: Parameters<Rig["start"]>[1],
		during: (life: Life) => Promise<void>,
	): Promise<Truth> {
		const { rig } = this;
		const { films, data, asked } = rig;
		const before = await readTruth(data, films);
		const { trust } = rig.desk.operator;
		const placed = await placedIn(data, films, trust);
		asked.clear();
		const life = await rig.start(leave, trap);
		try {
			await during(life);
		} finally {
			await rig.kill(life);
		}
		const { signal, code } = await life.process.exited;
		if (signal !== "SIGKILL") throw new Error(`it ended by itself: ${code}`);
		const orders = await this.checkLog();
		// What is not placed any more was only taken in for a while.
		if (orders > 0) this.brought.clear();
		const started = await life.ready;
		if (started !== undefined) this.starts.push(started);
		if (started !== undefined && started > START)
			throw new Error(`it took ${Math.round(started)} ms to start`);
		const after = await readTruth(data, films);
		none("asked for again", askedTwice(before, asked));
		none("no shards", lyingIn(after, this.flipped));
		none("files that nobody knows", await strangeIn(data, films, "killed"));
		const stillPlaced = await placedIn(data, films, trust);
		// An operator that heard of little room has it give up what it is told to hold again a moment later.
		const isScant = leave.quota === SCANT || this.recorded || orders > 1;
		const lost = lostSince(before, after).filter(
			(key) =>
				!this.flipped.has(key) && placed.has(key) && stillPlaced.has(key),
		);
		const least = MARGIN * Math.min(SCANT, wholeBytes(films, before));
		const left = wholeBytes(films, after);
		if (!isScant) none("lost", lost);
		else if (left < least) throw new Error(`${left} bytes left of ${least}`);
		return after;
	}

	/** How many placements it accepted. */
	private async checkLog(): Promise<number> {
		const log = await this.rig.log();
		const faults = log.filter(({ level }) => Number(level) >= 50);
		none(
			"errors in the log",
			faults.map((entry) => JSON.stringify(entry)),
		);
		for (const { msg, shard } of log) {
			if (msg !== "a shard on disk is damaged") continue;
			this.damaged.add(Number(shard));
			const isSo = [...this.flipped].some((key) => key.endsWith(`/${shard}`));
			if (!isSo) throw new Error(`shard ${shard} is said to be damaged`);
		}
		return log.filter(({ msg }) => msg === "placement accepted").length;
	}

	/** Sees to it that there is work of its kind. */
	private async prepare({ kind, draw }: Point): Promise<void> {
		const { rig } = this;
		this.kind = kind;
		await this.erase();
		const lacks = async () => {
			const whole = wholeIn(await readTruth(rig.data, rig.films));
			return [...shardsOf(rig.films)].filter(({ key }) => !whole.has(key));
		};
		const lacking = await lacks();
		if (
			kind === "scrub"
				? lacking.length > 0
				: kind === "evict" && lacking.length > WORK
		)
			await this.mend();
		if (kind === "import" || kind === "fill") {
			if (lacking.length < WORK) await this.shrink();
			await this.regain();
		}
		this.leave = { fills: true, down: "3 MiB/s" };
		if (kind === "evict" && draw() < 0.5)
			this.leave = { fills: true, quota: SCANT };
		if (kind === "scrub")
			for (const key of await flip(rig.data, rig.films, draw))
				this.flipped.add(key);
		if (kind !== "import") return;
		this.leave = { fills: false };
		for (const { film, shard, key } of await lacks()) {
			if (draw() < 0.3) continue;
			await rig.bring(film, shard, draw() < 0.5 ? "copy" : "link");
			this.brought.add(key);
		}
	}

	/** What happens to a box while it runs. */
	private async disturb({ kind }: Point, { ready }: Life): Promise<void> {
		if (!isFrom(kind, this.leave)) return;
		const { rig } = this;
		if ((await ready) === undefined || kind !== "evict") return;
		const truth = await readTruth(rig.data, rig.films);
		this.recorded = true;
		await rig.record(await usedBy(rig.data, rig.films, truth), SCANT);
	}

	/** An operator that has heard of room again has it hold all. */
	private async regain(): Promise<void> {
		const { rig } = this;
		const { trust } = rig.desk.operator;
		const isAll = async () =>
			(await placedIn(rig.data, rig.films, trust)).size === rig.shards;
		if (await isAll()) return;
		await this.live({ fills: false }, undefined, async ({ ready }) => {
			await ready;
			await poll("all is placed again", isAll);
		});
	}

	/** A box that had to give up half. */
	private async shrink(): Promise<void> {
		const { rig } = this;
		const leave = { fills: false, quota: SCANT };
		await this.live(leave, undefined, async ({ ready }) => {
			await ready;
			await poll("it gives room back", async () => {
				const { store } = await rig.status();
				return store.usedSpace <= SCANT;
			});
		});
	}
}

/** Whether it begins once the box is ready, and not with its start. */
function isFrom(kind: Kind, { quota }: Leave): boolean {
	return kind === "scrub" || (kind === "evict" && quota !== SCANT);
}
