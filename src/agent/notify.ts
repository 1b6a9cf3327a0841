import { spawn } from "node:child_process";
import { once } from "node:events";
import systemdNotify from "systemd-notify";
import { LarderError } from "../base/errors.ts";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** What the agent tells the service manager. Outside systemd every call does nothing. */
export interface Notifier {
	/** The service is up; watchdog pings begin. Rejects with NOTIFY_FAILED. */
	ready(): Promise<void>;
	/** One line for `systemctl status`; at most one a second is sent, the newest, and none that says what the last said. */
	status(line: string): void;
	/** The service goes down on purpose; pings go on meanwhile. Rejects with NOTIFY_FAILED. */
	stopping(): Promise<void>;
	/** Ends pings and drops a status not yet sent. */
	close(): void;
}

const STATUS_GAP: Millis = SECOND;

const outside: Notifier = {
	ready: async () => {},
	status: () => {},
	stopping: async () => {},
	close: () => {},
};

/**
 * Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_notify(3), sd_watchdog_enabled(3)).
 * @param onTrouble called with NOTIFY_FAILED when a ping or a status was not taken: while systemd reads its units anew on a slow
 * machine it answers nobody for seconds
 * @param onFailure called with it when the next was not taken either: systemd would kill the service later without a word,
 * so the agent should end loudly
 */
export function createNotifier(
	onTrouble: (error: LarderError) => void,
	onFailure: (error: LarderError) => void,
): Notifier {
	if (!process.env["NOTIFY_SOCKET"]) return outside;
	return new SystemdNotifier(onTrouble, onFailure);
}

/** Invariant: at most one status is being sent; `line` is the newest that has not been and says other than `told`. */
class SystemdNotifier implements Notifier {
	private line: string | undefined;
	private told: string | undefined;
	private gap: NodeJS.Timeout | undefined;
	private watchdog: NodeJS.Timeout | undefined;
	private pinging = false;
	/** Whether what was told last was not taken. */
	private troubled = false;
	private readonly onTrouble: (error: LarderError) => void;
	private readonly onFailure: (error: LarderError) => void;

	constructor(
		onTrouble: (error: LarderError) => void,
		onFailure: (error: LarderError) => void,
	) {
		this.onTrouble = onTrouble;
		this.onFailure = onFailure;
	}

	async ready(): Promise<void> {
		await said("READY=1", systemdNotify({ ready: true }));
		const interval = watchdogInterval();
		if (interval === undefined || this.watchdog !== undefined) return;
		this.watchdog = setInterval(() => void this.ping(), interval / 2);
		await this.ping();
	}

	status(line: string): void {
		// A line break would begin another assignment of the protocol.
		const plain = line.replace(/\s+/g, " ").trim();
		this.line = plain === this.told ? undefined : plain;
		if (this.gap === undefined) void this.sendStatus();
	}

	async stopping(): Promise<void> {
		await said("STOPPING=1", run("STOPPING=1"));
	}

	close(): void {
		this.line = undefined;
		clearTimeout(this.gap);
		clearInterval(this.watchdog);
	}

	private async sendStatus(): Promise<void> {
		const { line } = this;
		this.line = undefined;
		this.gap = undefined;
		if (line === undefined) return;
		this.told = line;
		this.gap = setTimeout(() => void this.sendStatus(), STATUS_GAP).unref();
		await this.tell("STATUS", systemdNotify({ status: line }));
	}

	private async ping(): Promise<void> {
		if (this.pinging) return;
		this.pinging = true;
		await this.tell("WATCHDOG=1", run("WATCHDOG=1"));
		this.pinging = false;
	}

	private async tell(what: string, sent: Promise<unknown>): Promise<void> {
		try {
			await said(what, sent);
			this.troubled = false;
		} catch (error) {
			if (!(error instanceof LarderError)) throw error;
			if (this.troubled) this.onFailure(error);
			else this.onTrouble(error);
			this.troubled = true;
		}
	}
}

/** Milliseconds between pings that systemd allows, if it wants any from this process. */
function watchdogInterval(): Millis | undefined {
	const { WATCHDOG_USEC: micros, WATCHDOG_PID: pid } = process.env;
	if (micros === undefined || !/^[1-9]\d*$/.test(micros)) return undefined;
	if (pid !== undefined && Number(pid) !== process.pid) return undefined;
	return Number(micros) / 1000;
}

/** The package knows only READY and STATUS; for the rest its program is run directly. */
async function run(assignment: string): Promise<void> {
	const child = spawn("systemd-notify", [assignment], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	let complaint = "";
	child.stderr.on("data", (part: Buffer) => {
		complaint += part.toString();
	});
	const [code, signal] = await once(child, "close");
	if (code !== 0)
		throw new Error(complaint.trim() || `ended with ${code ?? signal}`);
}

async function said(what: string, sent: Promise<unknown>): Promise<void> {
	try {
		await sent;
	} catch (cause) {
		throw new LarderError("NOTIFY_FAILED", `systemd was not told ${what}`, {
			cause,
		});
	}
}
