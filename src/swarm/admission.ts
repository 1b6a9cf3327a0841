import type Protomux from "protomux";
import type { Log } from "../base/log.ts";
import type { Millis } from "../base/units.ts";
import { type BoxId, short } from "../wire/ids.ts";
import { admit, type Member, type Membership } from "./membership.ts";

/** Who is let in, who was not and why, and who stays away for a while. */
export class Admission {
	readonly refusals = new Map<string, number>();
	private readonly membership: Membership;
	private readonly exileTime: Millis;
	private readonly log: Log;
	private readonly exiles = new Map<BoxId, Millis>();

	constructor(membership: Membership, exileTime: Millis, log: Log) {
		this.membership = membership;
		this.exileTime = exileTime;
		this.log = log;
	}

	/** Runs membership on a new connection; ends the connection when it does not pass. */
	admit(
		mux: Protomux,
		transport: string,
		onMember: (member: Member) => void,
	): void {
		const who = mux.stream.remotePublicKey.toString("hex") as BoxId;
		if (this.isExiled(who)) {
			mux.stream.destroy();
			return;
		}
		admit(mux, this.membership, onMember).then(
			(result) => {
				if (result.ok) return;
				const { reason, detail } = result;
				this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
				this.log.info(
					{ box: short(who), slug: reason, detail, transport },
					"connection refused",
				);
				mux.stream.destroy();
			},
			(error: unknown) => {
				this.log.error({ err: error }, "membership failed");
				mux.stream.destroy();
			},
		);
	}

	exile(box: BoxId): void {
		this.exiles.set(box, Date.now() + this.exileTime);
	}

	isExiled(box: BoxId): boolean {
		const until = this.exiles.get(box);
		if (until === undefined) return false;
		if (until > Date.now()) return true;
		this.exiles.delete(box);
		return false;
	}
}
