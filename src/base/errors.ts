/** Every error that a person may meet: its code and what to do about it. A test holds the docs to this table. */
export const ERRORS = {
	CONFIG_INVALID: "Mend the named key in the named file and start again.",
	IDENTITY_MISSING:
		"Put the enrol.json that `larder enrol claims` wrote for this receiver beside larder.toml, or give the box an identity by `larder issue`.",
	IDENTITY_INVALID:
		"Issue the box a new identity with `larder issue`; the file on it is damaged or foreign.",
	OPERATOR_MISSING:
		"Run `larder init <folder>` first, or name the folder with --dir.",
	OPERATOR_EXISTS: "Choose an empty folder; an operator is never overwritten.",
	OPERATOR_BUSY:
		"Stop the other headend on this folder, or let it do the work.",
	OPERATOR_INVALID:
		"Mend or remove what is named, or restore the operator from a backup with `larder restore`.",
	ENROL_INVALID:
		"Write the box the enrol.json that `larder enrol claims` made for its serial.",
	BOX_ENROLLING:
		"Approve it with `larder enrol approve <serial>` at the headend; the box asks again by itself.",
	BOX_BUSY:
		"Stop the other agent on this data folder, or give each agent its own.",
	NO_BOOTSTRAP:
		"Set swarm.bootstrap to at least one address of an operator DHT node (host:port).",
	PORT_TAKEN: "Stop the program that uses the port, or choose another port.",
	STORE_UNUSABLE:
		"Check that the data folder exists, is writable and lies on a healthy disk.",
	STORE_FULL: "Free disk space or raise store.quota.",
	BLOCK_WRONG:
		"Nothing to do: the block was thrown away and its sender dropped.",
	TITLE_UNKNOWN:
		"Check the title id with `larder titles`, or publish the title.",
	TITLE_KEY_DENIED: "The operator does not let this box play the title.",
	TITLE_KEY_EXPIRED:
		"The time for which this box may play the title is over and the control plane gave no more; check the broker, then play again.",
	TITLE_KEY_UNAVAILABLE:
		"The control plane did not answer; check the broker, then play again.",
	TITLE_UNAVAILABLE:
		"No neighbour and no origin could serve the block in time; check `larder doctor`.",
	MANIFEST_INVALID:
		"The manifest is not what the title id names; publish the title again if it is yours.",
	PACKAGE_INVALID:
		"Mend the faults listed and publish again; nothing was published.",
	PACKAGE_CHANGED:
		"The source changed while it was read; let it finish changing and publish again.",
	RELEASE_INVALID:
		"Sign the bundle again with `larder release sign` and this operator's key for updates.",
	UPDATE_REFUSED: "See the reason given: the box stays at its version.",
	REQUEST_INVALID: "Mend the request as the message says.",
	HOST_REFUSED: "Address it by a loopback name: 127.0.0.1, [::1] or localhost.",
	SITE_REFUSED:
		"Name the page's origin in gateway.origins, and have it play with CORS.",
	TOKEN_MISSING:
		"Open the address with ?token= that the headend printed when it started, or get a token with `larder token add`.",
	ROLE_REFUSED:
		"Ask somebody whose token has the role operator; `larder token list` names them.",
	AUDIT_FAILED:
		"Nothing was changed: see the headend's log and free its disk, then ask again.",
	METHOD_REFUSED: "Use one of the methods in the Allow header.",
	FILE_UNKNOWN:
		"Start from the title's entry, which GET /titles/<title id> names.",
	RANGE_OUTSIDE: "Ask for bytes below the length given in Content-Range.",
	ORIGIN_FAILED: "Check that the origin is up and its address is right.",
	BROKER_FAILED:
		"Check that the broker is up and its address and credentials are right.",
	IPC_UNREACHABLE:
		"Check that the agent runs and that you may open its socket.",
	NOTIFY_FAILED:
		"Set NotifyAccess=all in the unit and have systemd-notify on the PATH.",
	HEADEND_UNREACHABLE:
		"Start it with `larder headend`; if it runs, check [api] in operator.toml.",
	BOX_UNKNOWN: "List the boxes with `larder boxes`, or issue a new one.",
	ENROLMENT_CHANGED: "Look again with `larder enrol list`, then decide.",
	BOX_SILENT:
		"See with `larder boxes` whether the box is online, then ask again.",
	BOX_REVOKED: "Issue the receiver a new identity if it is to come back.",
	PURGE_LIMIT:
		"Have the root co-sign with `larder keys cosign`, or wait until tomorrow (UTC).",
	BACKUP_INVALID:
		"Choose another backup file; this one is not a whole Larder backup.",
	INTERNAL_FAULT: "This is a fault in Larder: report it with the log.",
	COMMAND_FAILED: "See the reason given.",
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERRORS;

/** The one error class: a code from the table, a message about this case, and its cause. */
export class LarderError extends Error {
	override readonly name = "LarderError";
	readonly code: ErrorCode;

	constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
		super(message, options);
		this.code = code;
	}

	get remedy(): string {
		return ERRORS[this.code];
	}
}

/** One line for a person: what went wrong, down to the first cause. */
export function describe(error: unknown): string {
	if (!(error instanceof Error)) return String(error);
	const own =
		error instanceof LarderError
			? `${error.message} [${error.code}]`
			: error.message;
	return error.cause === undefined ? own : `${own}: ${describe(error.cause)}`;
}

/** The `code` of a Node system error (`ENOENT`), if it has one. */
export function systemCode(error: unknown): string | undefined {
	return error instanceof Error &&
		"code" in error &&
		typeof error.code === "string"
		? error.code
		: undefined;
}
