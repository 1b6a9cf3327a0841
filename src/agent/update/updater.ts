import type { OpenTitle } from "../../act/ports.ts";
import { describe, LarderError } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { fullJitter, MINUTE, SECOND, sleep } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { Control, Order } from "../../control/control.ts";
import { type Trust, unsealParsed } from "../../wire/envelope.ts";
import type { TitleId } from "../../wire/ids.ts";
import { compareVersions, type Release, release } from "../../wire/release.ts";
import type { Update } from "../../wire/reports.ts";
import type { Releases } from "./releases.ts";
import { stage } from "./stage.ts";

/** What is not to be had now is tried again: after a moment, then less and less often. */
const RETRY = { base: 10 * SECOND, cap: 10 * MINUTE };
/** How often it is looked whether a trial is over. */
const LOOK: Millis = SECOND;

type UpdateOrder = Extract<Order, { kind: "update" }>;

export interface UpdaterOptions {
	/** Undefined for an agent that nothing would start again: see systemd/launch. */
	readonly releases: Releases | undefined;
	/** What runs here. */
	readonly version: string;
	readonly target: string;
	readonly trust: Trust;
	/** Brings a title onto the disk, and keeps it there until the function given back is called. */
	readonly bring: (id: TitleId, signal: AbortSignal) => Promise<() => void>;
	readonly open: (id: TitleId, signal: AbortSignal) => Promise<OpenTitle>;
	readonly control: Pick<Control, "change">;
	/** Ends the agent, to be started again as what is current then. */
	readonly restart: () => void;
	readonly log: Log;
}

/**
 * Brings the releases that the operator orders to this box. The headend hears how it stands by the box's state.
 * Invariant: one release at a time is on its way, the one ordered last.
 */
export class Updater {
	private readonly options: UpdaterOptions;
	private running: AbortController | undefined;
	private ended: Promise<void> = Promise.resolve();
	private wanted: string | undefined;
	private timer: NodeJS.Timeout | undefined;

	private constructor(options: UpdaterOptions) {
		this.options = options;
	}

	/** Tells when a trial is over; `standing` has told of it. */
	static async open(options: UpdaterOptions): Promise<Updater> {
		const updater = new Updater(options);
		const { releases } = options;
		if (releases !== undefined && (await releases.trial()) !== undefined)
			updater.watch(releases);
		return updater;
	}

	/** Checks an order and begins. Rejects with RELEASE_INVALID or UPDATE_REFUSED, which say why. */
	async order({ title, statement }: UpdateOrder): Promise<void> {
		const { releases, trust } = this.options;
		const read = unsealParsed(statement, "release", release, trust);
		if (!read.ok)
			throw new LarderError(
				"RELEASE_INVALID",
				`${read.reason}: ${read.detail}`,
			);
		const said = read.value;
		const why = await this.objection(said);
		if (why !== undefined || releases === undefined)
			throw new LarderError("UPDATE_REFUSED", why ?? "");
		if (this.wanted === said.version) return;
		this.wanted = said.version;
		this.running?.abort(new DOMException("another is ordered", "AbortError"));
		await this.ended;
		// Another order may have come meanwhile.
		if (this.wanted !== said.version) return;
		const running = new AbortController();
		this.running = running;
		this.ended = this.carryOut(title, said, releases, running.signal);
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		this.running?.abort(new DOMException("closing", "AbortError"));
		await this.ended;
	}

	/** Why a release is not for this box, in words. */
	private async objection(said: Release): Promise<string | undefined> {
		const { releases, version, target, trust } = this.options;
		if (said.network !== trust.network) return "it is another network's";
		if (said.target !== target)
			return `it is for ${said.target}, this box is ${target}`;
		if (compareVersions(said.version, version) <= 0)
			return `${said.version} is not newer than ${version}`;
		if (compareVersions(version, said.minimum) < 0)
			return `it takes ${said.minimum} at least, this is ${version}`;
		if (releases === undefined)
			return "nothing would start it here: the agent was not started by launch";
		if ((await releases.refused()).includes(said.version))
			return `${said.version} was tried here and did not hold`;
		if ((await releases.trial()) !== undefined)
			return `${version} is still on trial`;
		return undefined;
	}

	/** Never rejects. */
	private async carryOut(
		title: TitleId,
		said: Release,
		releases: Releases,
		signal: AbortSignal,
	): Promise<void> {
		const { version, restart, log } = this.options;
		try {
			await this.fetch(title, said, releases, signal);
			signal.throwIfAborted();
			await releases.switchTo(said.version, title, version);
			log.info({ version: said.version }, "another release: starting it");
			restart();
		} catch (error) {
			if (signal.aborted) return;
			this.wanted = undefined;
			log.error({ err: error, version: said.version }, "no update");
			const code = error instanceof LarderError ? error.code : "INTERNAL_FAULT";
			this.tell({ version: said.version, phase: "failed", code });
		}
	}

	/** Stages a release; what cannot be had just now is tried again until it can. */
	private async fetch(
		title: TitleId,
		said: Release,
		releases: Releases,
		signal: AbortSignal,
	): Promise<void> {
		this.tell({ version: said.version, phase: "fetching" });
		for (let attempt = 0; ; attempt++) {
			try {
				return await this.stage(title, said, releases, signal);
			} catch (error) {
				if (signal.aborted || !isForNow(error)) throw error;
				this.options.log.warn({}, `an update waits: ${describe(error)}`);
			}
			await sleep(fullJitter(attempt, RETRY.base, RETRY.cap), signal);
		}
	}

	private async stage(
		title: TitleId,
		said: Release,
		releases: Releases,
		signal: AbortSignal,
	): Promise<void> {
		const { bring, open } = this.options;
		const free = await bring(title, signal);
		try {
			const opened = await open(title, signal);
			// The statement lies before the tar; the order has brought it already.
			const start = opened.manifest.size - said.size;
			if (start < 0)
				throw new LarderError("RELEASE_INVALID", "the title is another");
			await stage(said, opened.read(start, said.size, signal), releases);
		} finally {
			free();
		}
	}

	private watch(releases: Releases): void {
		this.timer = setInterval(() => void this.look(releases), LOOK);
		this.timer.unref();
	}

	private async look(releases: Releases): Promise<void> {
		try {
			if ((await releases.trial()) !== undefined) return;
			clearInterval(this.timer);
			this.tell(undefined);
			this.options.log.info({ version: this.options.version }, "proven");
		} catch (error) {
			this.options.log.warn({}, `the trial is not seen: ${describe(error)}`);
		}
	}

	private tell(update: Update | undefined): void {
		this.options.control.change({ update });
	}
}

/** What is to be told of updates when an agent begins; undefined when all is well. */
export async function standing(
	releases: Releases,
	version: string,
): Promise<Update | undefined> {
	const trial = await releases.trial();
	if (trial?.version === version) return { version, phase: "trial" };
	const last = (await releases.refused()).at(-1);
	// One that did not hold is of no interest once a newer one does.
	return last !== undefined && compareVersions(last, version) > 0
		? { version: last, phase: "failed", code: "rolled-back" }
		: undefined;
}

function isForNow(error: unknown): boolean {
	const codes = ["TITLE_UNAVAILABLE", "TITLE_KEY_UNAVAILABLE", "ORIGIN_FAILED"];
	return error instanceof LarderError && codes.includes(error.code);
}
