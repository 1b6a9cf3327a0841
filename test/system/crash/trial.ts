import { SECOND, within } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { poll } from "../desk.ts";
import { misstated, none, shardsOf, usedBy, wholeIn } from "./checks.ts";
import { flip } from "./damage.ts";
import { faultsIn, type Lived } from "./judge.ts";
import type { Leave, Life } from "./life.ts";
import { tellOrders } from "./orders.ts";
import type { Kind, Point } from "./points.ts";
import { type Killed, metIn } from "./report.ts";
import { type Rig, SCANT } from "./rig.ts";
import { findAll, namesIn, readTruth, strangeIn } from "./truth.ts";

/** What the issue asks of a start. */
const START: Millis = 2 * SECOND;
/** A call that does not come in so long does not come. */
const NEVER: Millis = 4 * SECOND;
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
		let killed: Pick<Killed, "at" | "isMet"> | undefined;
		const { lived, met } = await this.live(this.leave, trap, async (life) => {
			const { exited } = life.process;
			const end = new AbortController();
			const change = isAgain ? undefined : this.rig.change(end.signal);
			if (!isAgain) await this.disturb(point, life);
			if ("after" in when)
				await within(NEVER, Promise.race([change, exited]), undefined);
			end.abort();
			const rest = "after" in when ? when.after : NEVER;
			const exit = await within(rest, exited, false);
			killed = { at: Date.now() - life.began, isMet: exit !== false };
		});
		if (killed === undefined) throw new Error("it did not live");
		const { orders, after } = lived;
		return { ...killed, met, orders, truth: after.truth };
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

	/** From a start to a kill, and what must be so after any. Gives what is known of it, and what it was doing. */
	private async live(
		leave: Leave,
		trap: Parameters<Rig["start"]>[1],
		during: (life: Life) => Promise<void>,
	): Promise<{ readonly lived: Lived; readonly met: readonly Kind[] }> {
		const { rig, flipped } = this;
		const { films, data, asked, orders } = rig;
		const before = await findAll(data, films);
		const kept = await orders.keptIn(data);
		asked.clear();
		const life = await rig.start(leave, trap);
		try {
			await during(life);
		} finally {
			await rig.kill(life);
		}
		const { signal, code } = await life.process.exited;
		if (signal !== "SIGKILL") throw new Error(`it ended by itself: ${code}`);
		const log = await rig.log();
		const found = this.checkLog(log);
		const isReady = this.checkStart(await life.ready);
		const isScant = leave.quota === SCANT || this.recorded;
		const lived: Lived = {
			...{ films, before, asked, flipped, share: rig.share },
			after: await findAll(data, films),
			orders: await orders.during(kept, log, await orders.keptIn(data)),
			...(isScant && { capacity: SCANT }),
		};
		none(`placed ${tellOrders(lived.orders)}`, faultsIn(lived));
		none("files that nobody knows", await strangeIn(data, films, "killed"));
		return { lived, met: metIn(lived, isReady, found) };
	}

	/** Whether it was ready. */
	private checkStart(took: Millis | undefined): boolean {
		if (took === undefined) return false;
		this.starts.push(took);
		if (took > START)
			throw new Error(`it took ${Math.round(took)} ms to start`);
		return true;
	}

	/** How many shards it found damaged. */
	private checkLog(log: readonly Record<string, unknown>[]): number {
		const faults = log.filter(({ level }) => Number(level) >= 50);
		none(
			"errors in the log",
			faults.map((entry) => JSON.stringify(entry)),
		);
		const found = log
			.filter(({ msg }) => msg === "a shard on disk is damaged")
			.map(({ shard }) => Number(shard));
		for (const shard of found) {
			this.damaged.add(shard);
			const isSo = [...this.flipped].some((key) => key.endsWith(`/${shard}`));
			if (!isSo) throw new Error(`shard ${shard} is said to be damaged`);
		}
		return found.length;
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
		// Told that there is little room, its operator has it hold no more.
		const isTold = (kind === "import" || kind === "fill") && draw() < 0.3;
		if (kind === "import" || kind === "fill") {
			if (isTold || lacking.length < WORK) await this.shrink(isTold);
			if (kind === "fill" || !isTold) await this.regain();
		}
		this.leave = { fills: true, down: "3 MiB/s" };
		if (kind === "evict" && draw() < 0.5)
			this.leave = { fills: true, quota: SCANT };
		if (kind === "scrub")
			for (const key of await flip(rig.data, rig.films, draw))
				this.flipped.add(key);
		if (kind !== "import") return;
		// What has no room waits.
		this.leave = { fills: false, ...(isTold && { quota: SCANT }) };
		for (const { film, shard } of await lacks())
			if (draw() < 0.7)
				await rig.bring(film, shard, draw() < 0.5 ? "copy" : "link");
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
		const isAll = async () =>
			(await rig.orders.keptIn(rig.data))?.placed.size === rig.shards;
		if (await isAll()) return;
		await this.live({ fills: false }, undefined, async ({ ready }) => {
			await ready;
			await poll("all is placed again", isAll);
		});
	}

	/**
	 * A box that had to give up half.
	 * @param isTold whether its operator knows, and has it hold no more; else that may come in the next life
	 */
	private async shrink(isTold: boolean): Promise<void> {
		const { rig } = this;
		const leave = { fills: false, quota: SCANT };
		await this.live(leave, undefined, async ({ ready }) => {
			await ready;
			await poll("it gives room back", async () => {
				const { store } = await rig.status();
				return store.usedSpace <= SCANT;
			});
			if (isTold)
				await poll("less is placed", async () => {
					const { placed } = (await rig.orders.keptIn(rig.data)) ?? {};
					return placed !== undefined && placed.size < rig.shards;
				});
		});
	}
}

/** Whether it begins once the box is ready, and not with its start. */
function isFrom(kind: Kind, { quota }: Leave): boolean {
	return kind === "scrub" || (kind === "evict" && quota !== SCANT);
}
