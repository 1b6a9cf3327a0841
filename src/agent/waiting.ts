import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { type IpcServer, startIpc } from "../ipc/server.ts";
import { always } from "../ipc/session.ts";
import type { Config } from "./config.ts";
import { failure } from "./finding.ts";
import type { Notifier } from "./notify.ts";

/**
 * What a box is while it waits to be let in: up, as far as the service manager is concerned, for it is not to be
 * restarted for that; and able to say what it waits for to whoever asks.
 */
export class WaitingRoom {
	private readonly config: Pick<Config, "ipc">;
	private readonly notifier: Notifier;
	private readonly onFatal: (error: LarderError) => void;
	private readonly log: Log;
	private why = "";
	private opening: Promise<IpcServer | undefined> | undefined;

	constructor(
		config: Pick<Config, "ipc">,
		notifier: Notifier,
		onFatal: (error: LarderError) => void,
		log: Log,
	) {
		this.config = config;
		this.notifier = notifier;
		this.onFatal = onFatal;
		this.log = log;
	}

	/** @param why for a person */
	wait(why: string): void {
		this.why = why;
		this.opening ??= this.open();
		this.notifier.status(why);
	}

	async close(): Promise<void> {
		await (await this.opening)?.close();
	}

	/** Never rejects: what keeps the socket from opening ends the agent. */
	private async open(): Promise<IpcServer | undefined> {
		try {
			await this.notifier.ready();
			return await startIpc({
				...this.config.ipc,
				handlers: {
					...always(async () => {
						throw this.reason();
					}),
					doctor: async () => ({
						checks: [failure("membership", this.reason())],
					}),
				},
				log: this.log,
			});
		} catch (error) {
			this.onFatal(
				error instanceof LarderError
					? error
					: new LarderError("INTERNAL_FAULT", "no way to be asked", {
							cause: error,
						}),
			);
			return undefined;
		}
	}

	private reason(): LarderError {
		return new LarderError("BOX_ENROLLING", this.why);
	}
}
