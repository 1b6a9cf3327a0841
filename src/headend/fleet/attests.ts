import type { Clock } from "../../base/time.ts";
import type { Attestation } from "../../wire/attest.ts";
import type { Signed } from "../../wire/envelope.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { Issued } from "../operator/issue.ts";
import type { Database } from "./database.ts";
import { addBoxes } from "./recording.ts";

export interface AttestsOptions {
	readonly database: Database;
	/** The operator's record of a box; undefined for one that was never issued. */
	readonly issued: (box: BoxId) => Promise<Issued | undefined>;
	readonly now?: Clock;
}

/** A statement and what it says, its signature checked. */
export type Attested = Signed & { readonly said: Attestation };

/** What boxes attest of titles that were taken back: the newest of each box and title, as it was signed. */
export class Attests {
	private readonly database: Database;
	private readonly issued: AttestsOptions["issued"];
	private readonly now: Clock;
	private readonly listeners = new Set<() => void>();

	constructor({ database, issued, now = Date.now }: AttestsOptions) {
		this.database = database;
		this.issued = issued;
		this.now = now;
	}

	/** Called when something was kept. The function given back ends it. */
	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	/**
	 * Keeps what is newer and about an order that stands. What is older changes nothing: whoever carries messages may repeat
	 * them. False for a box that was never issued.
	 */
	async keep(box: BoxId, attested: readonly Attested[]): Promise<boolean> {
		const issued = await this.issued(box);
		if (issued === undefined) return false;
		const now = this.now();
		const rows = attested.map(({ payload, signature, said }) => {
			const { title, ordered, state, at } = said;
			return { title, ordered, state, at, payload, signature };
		});
		await this.database.transaction(async (statements) => {
			await addBoxes(statements, [issued], now);
			await statements.query(
				`INSERT INTO attests (title, box, ordered, state, deleted_at, at, received_at, payload, signature)
				SELECT r.title, $2, r.ordered, r.state, CASE WHEN r.state = 'deleted' THEN $3::bigint END, r.at, $3, r.payload, r.signature
				FROM jsonb_to_recordset($1::jsonb)
					AS r(title text, ordered bigint, state text, at bigint, payload text, signature text)
				JOIN purges ON purges.title = r.title AND purges.at = r.ordered AND purges.countermanded_at IS NULL
				ON CONFLICT (title, box) DO UPDATE SET ordered = excluded.ordered, state = excluded.state, at = excluded.at,
					received_at = excluded.received_at, payload = excluded.payload, signature = excluded.signature,
					deleted_at = CASE WHEN attests.ordered = excluded.ordered
						THEN coalesce(attests.deleted_at, excluded.deleted_at) ELSE excluded.deleted_at END
				WHERE excluded.at > attests.at`,
				[JSON.stringify(rows), box, now],
			);
		});
		for (const listener of this.listeners) listener();
		return true;
	}
}
