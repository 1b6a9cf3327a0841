import { LarderError } from "../../base/errors.ts";
import { MINUTE, monotonic, SECOND } from "../../base/time.ts";
import type { Bytes, Millis } from "../../base/units.ts";
import {
	type Figures,
	type From,
	type Read,
	Session,
	type Spot,
} from "../../plan/session.ts";
import type { TitleId } from "../../wire/ids.ts";
import type { Miss } from "../../wire/quality.ts";
import type { Playing, Source } from "../ports.ts";
import type { Piece } from "./reading.ts";

const ROUND: Millis = 15 * SECOND;
/** What was watched is told once nothing was read for so long, and of who watches on so often. */
const QUIET: Millis = MINUTE;
const OFTEN: Millis = 15 * MINUTE;
/** Who reads on after so long begins anew; until then it was a pause. */
const OVER: Millis = 10 * MINUTE;
/** Sessions at a time: whoever makes up more ends the oldest. */
const MOST = 64;

/** Told of every session what was since the last time. */
export type OnWatched = (title: TitleId, figures: Figures) => void;

interface Seat {
	readonly title: TitleId;
	readonly session: Session;
	toldAt: Millis;
}

/** Who watches what on this box: a session for each title and player, as far as players can be told apart. */
export class Audience {
	private readonly onWatched: OnWatched;
	/** By title and the player's own name for its session; least recently read first. */
	private readonly seats = new Map<string, Seat>();
	private readonly timer: NodeJS.Timeout;

	constructor(onWatched: OnWatched) {
		this.onWatched = onWatched;
		this.timer = setInterval(() => this.look(monotonic()), ROUND).unref();
	}

	/** A player reads from a place on, which `serve` does. */
	async *watch(
		title: TitleId,
		spot: Spot,
		{ began, word }: Pick<Playing, "began" | "word">,
		serve: (viewing: Viewing) => AsyncIterable<Buffer>,
	): AsyncGenerator<Buffer> {
		const session = this.sessionOf(title, word?.sid, began);
		const viewing = new Viewing(session, session.begin(spot, began, word));
		let why: unknown;
		try {
			yield* serve(viewing);
		} catch (error) {
			why = error;
			throw error;
		} finally {
			viewing.end(why);
		}
	}

	/** A title could not be opened. */
	failed(title: TitleId, error: unknown): void {
		if (isDenied(error))
			this.sessionOf(title, undefined, monotonic()).missed("entitlement");
	}

	/** What nobody was told of by now stays untold: said at the end of a run, it would say whose it is. */
	close(): void {
		clearInterval(this.timer);
	}

	look(now: Millis): void {
		for (const [key, seat] of this.seats) {
			const quiet = now - seat.session.touched;
			if (quiet >= QUIET || now - seat.toldAt >= OFTEN) this.tell(seat, now);
			if (quiet >= OVER) this.seats.delete(key);
		}
	}

	private sessionOf(
		title: TitleId,
		sid: string | undefined,
		now: Millis,
	): Session {
		const key = `${title} ${sid ?? ""}`;
		const seat = this.seats.get(key) ?? {
			...{ title, session: new Session(now), toldAt: now },
		};
		this.seats.delete(key);
		this.seats.set(key, seat);
		for (const [oldest, gone] of this.seats) {
			if (this.seats.size <= MOST) break;
			this.seats.delete(oldest);
			this.tell(gone, now);
		}
		return seat.session;
	}

	private tell(seat: Seat, now: Millis): void {
		seat.toldAt = now;
		const figures = seat.session.take(now);
		if (figures !== undefined) this.onWatched(seat.title, figures);
	}
}

/** One read of a player, as it goes. */
export class Viewing {
	private readonly session: Session;
	private readonly read: Read;
	private asked = monotonic();
	private until: Millis | undefined;

	constructor(session: Session, read: Read) {
		this.session = session;
		this.read = read;
	}

	/** @param time when in playing time they are needed */
	got(
		time: Millis,
		bytes: Bytes,
		{ source, level, miss }: Pick<Piece, "source" | "level" | "miss">,
	): void {
		const from = kindOf(source);
		const times = { asked: this.asked, came: monotonic(), time };
		this.session.got(this.read, { ...times, bytes, from, level, miss });
	}

	/** The player took what came, and more may come. */
	taken(): void {
		this.asked = monotonic();
	}

	missed(cause: Miss): void {
		this.session.missed(cause);
	}

	/** All that it asked for is on its way: it can play until then in playing time. */
	reached(until: Millis): void {
		this.until = until;
	}

	/** @param why it broke off, when it failed */
	end(why: unknown): void {
		this.session.end(this.read, this.until, monotonic());
		if (isDenied(why)) this.session.missed("entitlement");
	}
}

function kindOf(source: Source): From {
	if (source === "disk") return "disk";
	return source === "origin" ? "origin" : "neighbours";
}

/** Whether a title's key was not to be had, or may be used no more. */
function isDenied(error: unknown): boolean {
	return error instanceof LarderError && error.code.startsWith("TITLE_KEY_");
}
