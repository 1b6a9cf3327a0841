import { createHmac, randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type Bytes, KiB } from "../base/units.ts";
import { TAR_END, tarHeader, tarPadding } from "../content/tar.ts";
import type { BoxId } from "../wire/ids.ts";
import type { Check, Status } from "../wire/ipc.ts";
import { MAX_BUNDLE } from "../wire/reports.ts";
import type { Config } from "./config.ts";

/** What a support bundle is made of. What cannot be had is left out. */
export interface Findings {
	/** Its id stays in the bundle: it is how the operator knows the box. */
	readonly box: BoxId | undefined;
	readonly config: Config | undefined;
	readonly status: Status | undefined;
	readonly checks: readonly Check[];
	/** Versions, memory and disk. */
	readonly machine: object;
	/** Name and text of each log; oldest line first. */
	readonly logs: Readonly<Record<string, string>>;
}

/** Of each log the end counts. */
const LOG: Bytes = 512 * KiB;

/**
 * A .tar.gz for whoever helps with this box, of at most MAX_BUNDLE bytes. No keys, claims and tokens are in it, and nothing
 * that says which titles are here: what could be one is veiled wherever it stands.
 */
export function bundleOf(findings: Findings): Buffer {
	const veil = veilOf(findings.box);
	for (let room = LOG; ; room = Math.floor(room / 2)) {
		const bundle = gzipSync(tarOf(filesOf(findings, room, veil)));
		if (bundle.length <= MAX_BUNDLE) return bundle;
	}
}

function filesOf(
	findings: Findings,
	room: Bytes,
	veil: (text: string) => string,
): Map<string, string> {
	const { config, status, checks, machine, logs } = findings;
	const files = new Map<string, string>();
	const put = (name: string, value: unknown) => {
		if (value !== undefined)
			files.set(name, `${JSON.stringify(value, undefined, 1)}\n`);
	};
	put("machine.json", machine);
	put("doctor.json", checks);
	put("status.json", status && withoutTitles(status));
	put("config.json", config && withoutLogin(config));
	for (const [name, text] of Object.entries(logs))
		if (text !== "") files.set(name, text.slice(-room));
	for (const [name, text] of files) files.set(name, veil(text));
	return files;
}

/** How many titles there are is said, and what streams do. */
function withoutTitles({ titles, streams, ...status }: Status): object {
	const veiled = streams.map(({ title, ...stream }) => stream);
	return { ...status, titles: titles.length, streams: veiled };
}

function withoutLogin({ broker, ...config }: Config): object {
	const { username, ...others } = broker;
	return { ...config, broker: { ...others, login: username !== undefined } };
}

/** Ids (64 hex digits) become names that hold within one bundle; shorter ones of titles, tokens and what looks like a key become nothing. */
function veilOf(box: BoxId | undefined): (text: string) => string {
	const secret = randomBytes(32);
	const nameOf = (id: string) => {
		const name = createHmac("sha256", secret).update(id).digest("hex");
		return `~${name.slice(0, 8)}`;
	};
	return (text) =>
		text
			.replaceAll(/[0-9a-f]{64}/g, (id) => (id === box ? id : nameOf(id)))
			.replaceAll(/("title":\s*)"[0-9a-f]{8}"/g, '$1"…"')
			.replaceAll(/\/t\/[\w-]+/g, "/t/…")
			.replaceAll(KEY, (found) => (found === box ? found : "…"));
}

/** Hexadecimal from 32 digits on, and base64 of as many bytes or more; a path of capital and small letters may be taken for one. */
const KEY =
	/\b[0-9a-f]{32,}\b|(?=[\w+/-]*[A-Z])(?=[\w+/-]*[a-z])(?=[\w+/-]*\d)[\w+/-]{40,}={0,2}/g;

function tarOf(files: ReadonlyMap<string, string>): Buffer {
	const parts = [...files].flatMap(([path, text]) => {
		const bytes = Buffer.from(text);
		const header = tarHeader({ path, size: bytes.length });
		return [header, bytes, Buffer.alloc(tarPadding(bytes.length))];
	});
	return Buffer.concat([...parts, Buffer.alloc(TAR_END)]);
}
