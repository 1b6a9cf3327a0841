import { describe } from "../../base/errors.ts";
import type { Log } from "../../base/log.ts";
import { type BoxId, short, type TitleId } from "../../wire/ids.ts";
import type { Entitlement } from "../entitlement/entitlement.ts";
import type { Commands } from "./commands.ts";

/** Boxes that are told at a time. */
const BATCH = 100;

/** Has boxes forget keys. A box that does not answer is told again when it is back, until its lease is over anyway. */
export class Recalls {
	private readonly entitlement: Pick<Entitlement, "recalled" | "forgotten">;
	private readonly commands: Pick<Commands, "ask">;
	private readonly log: Log;

	constructor(
		entitlement: Pick<Entitlement, "recalled" | "forgotten">,
		commands: Pick<Commands, "ask">,
		log: Log,
	) {
		this.entitlement = entitlement;
		this.commands = commands;
		this.log = log;
	}

	/** Resolves when each has answered or had its time. Never rejects. */
	async tell(boxes: readonly BoxId[], title: TitleId): Promise<void> {
		for (let at = 0; at < boxes.length; at += BATCH) {
			const some = boxes.slice(at, at + BATCH);
			await Promise.all(some.map((box) => this.recall(box, title)));
		}
	}

	/** A box is back. Never rejects. */
	async remind(box: BoxId): Promise<void> {
		try {
			for (const title of await this.entitlement.recalled(box))
				await this.recall(box, title);
		} catch (error) {
			this.log.error(
				{ box: short(box) },
				`what is to be forgotten is not known: ${describe(error)}`,
			);
		}
	}

	private async recall(box: BoxId, title: TitleId): Promise<void> {
		try {
			const { ok, detail } = await this.commands.ask(box, {
				kind: "key-revoked",
				title,
			});
			if (ok) await this.entitlement.forgotten(box, title);
			else
				this.log.warn({ box: short(box), detail }, "a key was not forgotten");
		} catch (error) {
			this.log.info(
				{ box: short(box) },
				`a key is to be forgotten yet: ${describe(error)}`,
			);
		}
	}
}
