import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { HOUR } from "../../base/time.ts";
import type { Millis } from "../../base/units.ts";
import type { CatalogWriter } from "../../logs/writer.ts";
import type { CatalogEntry } from "../../wire/catalog.ts";
import type { Announcement, Bans } from "../../wire/head.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { HeadWriter } from "./heads.ts";

export interface AnnouncerOptions {
	readonly catalog: CatalogWriter;
	readonly heads: HeadWriter;
	readonly entries: () => readonly CatalogEntry[];
	/** All boxes that are shut out, and those of them that the region is told of. */
	readonly shutOut: () => Promise<readonly BoxId[]>;
	readonly revoked: () => Promise<readonly BoxId[]>;
	/** Titles that are taken back, in the order in which they were. */
	readonly purged: () => Bans["purged"];
	readonly policy: () => Announcement["policy"];
	/** Tells members of the swarm, and the broker. */
	readonly tellMembers: () => void;
	readonly tellBroker: (head: Buffer) => Promise<void>;
	readonly log: Log;
	readonly round?: Millis;
}

/** How often it is looked whether the head is old, or the region has a newer one. */
const ROUND: Millis = HOUR;

/**
 * Tells the region what there is to watch and who is shut out: brings the catalog, and then the head that names its
 * length, up to the published titles and the fleet. Invariant: one announcement is made at a time.
 */
export class Announcer {
	private readonly options: AnnouncerOptions;
	private running: Promise<void> = Promise.resolve();
	private shutOut: ReadonlySet<BoxId>;
	private readonly timer: NodeJS.Timeout;

	private constructor(options: AnnouncerOptions, shutOut: readonly BoxId[]) {
		this.options = options;
		this.shutOut = new Set(shutOut);
		this.timer = setInterval(() => {
			this.announce().catch((error: unknown) => {
				options.log.error({}, `nothing was announced: ${describe(error)}`);
			});
		}, options.round ?? ROUND).unref();
	}

	/** Knows who is shut out before anybody can come in. */
	static async open(options: AnnouncerOptions): Promise<Announcer> {
		return new Announcer(options, await options.shutOut());
	}

	/** Whether a box is shut out. */
	isRevoked(box: BoxId): boolean {
		return this.shutOut.has(box);
	}

	/** With nothing new, nothing is signed. Rejects when it could not be written down; then nobody was told. */
	announce(): Promise<void> {
		const next = this.running.then(() => this.make());
		this.running = next.catch(() => undefined);
		return next;
	}

	async close(): Promise<void> {
		clearInterval(this.timer);
		await this.running;
	}

	private async make(): Promise<void> {
		const { catalog, heads, entries, policy, log } = this.options;
		const wanted = entries();
		const ids = new Set(wanted.map(({ id }) => id));
		for (const { id } of await catalog.list())
			if (!ids.has(id)) await catalog.remove(id);
		for (const entry of wanted) await catalog.put(entry);
		this.shutOut = new Set(await this.options.shutOut());
		const revoked = [...(await this.options.revoked())];
		const purged = this.options.purged();
		const { key, length } = catalog;
		const said = { catalog: { key, length }, policy: policy() };
		const changed = await heads.write({
			announcement: said,
			bans: { revoked, purged },
		});
		const { bytes } = heads;
		if (!changed || bytes === undefined) return;
		this.options.tellMembers();
		try {
			await this.options.tellBroker(bytes);
		} catch (error) {
			// It goes out again with the next connection, and from neighbour to neighbour.
			log.warn({}, `the head did not go out: ${describe(error)}`);
		}
	}
}
