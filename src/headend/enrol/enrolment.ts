import type { Log } from "../../base/log.ts";
import type { BrokerAccess, Timing } from "../../control/connection.ts";
import type { BoxId } from "../../wire/ids.ts";
import type { Stores } from "../stores.ts";
import { EnrolListener } from "./listener.ts";
import { Registrar, type RegistrarView } from "./registrar.ts";

export interface EnrolmentOptions
	extends Pick<Stores, "operator" | "database" | "audit" | "fleet"> {
	readonly isRevoked: (box: BoxId) => boolean;
	/** How to get to where boxes enrol; nowhere, without [enrol] in operator.toml. */
	readonly access: BrokerAccess | undefined;
	/** Shuts a box out for good. */
	readonly revoke: (box: BoxId, why: string) => Promise<void>;
	readonly log: Log;
	readonly timing?: Partial<Timing>;
}

export interface EnrolmentView extends RegistrarView {
	/** The connection to where boxes enrol; null when operator.toml has no [enrol]. */
	readonly listener: {
		readonly connected: boolean;
		readonly trouble?: string | undefined;
	} | null;
}

/** The registrar, and the place where it hears boxes that have no certificate, if there is one. */
export class Enrolment {
	readonly registrar: Registrar;
	private readonly listener: EnrolListener | undefined;
	private readonly listeners = new Set<() => void>();

	constructor(options: EnrolmentOptions) {
		const { operator, fleet, access, log, timing } = options;
		this.registrar = new Registrar({
			...options,
			onEntered: (issued) => fleet.enter(issued),
			answer: async (box, message) => this.listener?.answer(box, message),
			onChange: () => {
				for (const listener of this.listeners) listener();
			},
		});
		this.listener =
			access &&
			new EnrolListener({
				operator,
				access,
				onRequest: (box, message) => this.registrar.hear(box, message),
				log,
				...(timing && { timing }),
			});
	}

	/** Begins to hear boxes. */
	start(): void {
		this.listener?.start();
	}

	/** Called when what is told here has changed. The function given back ends it. */
	onChange(listener: () => void): () => void {
		this.listeners.add(listener);
		return () => this.listeners.delete(listener);
	}

	async view(): Promise<EnrolmentView> {
		const { listener } = this;
		return {
			...(await this.registrar.view()),
			listener:
				listener === undefined
					? null
					: { connected: listener.connected, trouble: listener.trouble },
		};
	}

	async close(): Promise<void> {
		await this.listener?.close();
		await this.registrar.close();
	}
}
