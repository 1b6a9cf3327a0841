import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "smol-toml";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../../base/errors.ts";
import { LOG_LEVELS } from "../../base/log.ts";
import { parseSpan } from "../../base/time.ts";
import { type BrokerSettings, faultOfBrokerUrl } from "../../control/access.ts";
import { isZone, readWindows } from "../../plan/windows.ts";
import { type Region, region } from "../../wire/ids.ts";
import { explain } from "../../wire/json.ts";
import { MAX_RANK } from "../../wire/placement.ts";

const english = z.locales.en().localeError;

const port = z.number().check(z.int(), z.minimum(0), z.maximum(65_535));
const text = z.string().check(z.minLength(1));
const host = text;
const url = z.url({
	protocol: /^https?$/,
	error: "must be an http:// or https:// address",
});
const brokerUrl = z.string().check(
	z.refine((address) => faultOfBrokerUrl(address) === undefined, {
		error: ({ input }) => faultOfBrokerUrl(String(input)),
	}),
);
/** Of a listener where boxes enrol: what is said there needs the operator's own TLS. */
const enrolUrl = brokerUrl.check(z.startsWith("mqtts:", "must be mqtts://"));
/** An address of a DHT node. */
const node = z
	.string()
	.check(z.regex(/^[^\s:]+:\d{1,5}$/, "must look like 10.0.0.1:49737"));

/** Where `larder bootstrap` listens, and where the headend's own node does. */
const BOOTSTRAP_PORT = 49_737;
const SWARM_PORT = 49_738;

/** A time as text, between two others. */
function span(least: string, most: string) {
	const takes = `must be a time from "${least}" to "${most}"`;
	const fits = (text: string) => {
		const ms = parseSpan(text) ?? 0;
		return ms >= (parseSpan(least) ?? 0) && ms <= (parseSpan(most) ?? 0);
	};
	return z.pipe(
		z.string(takes).check(z.refine(fits, takes)),
		z.transform((text) => parseSpan(text) ?? 0),
	);
}
/** A secret is sent there: in the clear to this machine only. */
const callbackUrl = z
	.string()
	.check(
		z.regex(
			/^(https:\/\/|http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/])/,
			"must be an https:// address, or an http:// one of this machine",
		),
	);
const entitlement = z
	.strictObject({
		mode: z.prefault(z.enum(["all", "list", "callback"]), "all"),
		lease: z.prefault(span("1 s", "30 days"), "24 h"),
		url: z.optional(callbackUrl),
		secret_file: z.optional(text),
		timeout: z.prefault(span("100 ms", "4 s"), "3 s"),
		concurrency: z.prefault(
			z.number().check(z.int(), z.minimum(1), z.maximum(256)),
			32,
		),
		grace: z.prefault(span("1 s", "30 days"), "72 h"),
	})
	.check(
		z.refine(({ mode, url }) => mode !== "callback" || url !== undefined, {
			path: ["url"],
			error: 'must be set where the mode is "callback"',
		}),
	);

const fill = z.strictObject({
	zone: z
		.string()
		.check(
			z.refine(isZone, 'must be a time zone such as "Europe/Berlin" or "UTC"'),
		),
	windows: z.pipe(
		z.array(z.unknown()).check(
			z.minLength(1),
			z.refine((value) => readWindows(value).ok, {
				error: ({ input }) => {
					const read = readWindows(input);
					return read.ok ? undefined : read.detail;
				},
			}),
		),
		z.transform((value) => {
			const read = readWindows(value);
			return read.ok ? read.value : [];
		}),
	),
});

const schema = z.strictObject({
	region,
	copies: z.number().check(z.int(), z.minimum(1), z.maximum(MAX_RANK)),
	log_level: z.enum(LOG_LEVELS),
	swarm: z.strictObject({ bootstrap: z.array(node), host, port }),
	broker: z.strictObject({
		url: brokerUrl,
		username: z.optional(text),
		password_file: z.optional(text),
		ca: z.optional(text),
		reload: z.optional(z.array(text)),
	}),
	origin: z.strictObject({ host, port, url }),
	api: z.strictObject({ host, port }),
	ingest: z.strictObject({ quiet: z.number().check(z.minimum(0)) }),
	// An operator.toml from before there were leases has none.
	entitlement: z.prefault(entitlement, {}),
	policy: z.strictObject({
		share_transient: z.enum(["now", "later", "never"]),
		fill: z.optional(fill),
		keep_viewing: z.prefault(span("1 day", "400 days"), "30 days"),
	}),
	enrol: z.optional(z.strictObject({ url: enrolUrl, headend_url: enrolUrl })),
});

/** operator.toml, as it is written there. */
export type OperatorConfig = z.output<typeof schema>;

/** What `larder init` may choose; the rest has defaults and can be edited later. */
export interface OperatorSettings {
	readonly region: Region;
	readonly copies?: number;
	/** The IPv4 address or name by which boxes reach this machine; loopback unless set. */
	readonly host?: string;
	readonly bootstrap?: readonly string[];
	readonly swarmPort?: number;
	readonly brokerUrl?: string;
	readonly originPort?: number;
	readonly originUrl?: string;
	readonly apiPort?: number;
}

/** Reads operator.toml. Throws OPERATOR_MISSING without one, CONFIG_INVALID naming the file and each key that is wrong. */
export async function readConfig(dir: string): Promise<OperatorConfig> {
	const path = join(dir, "operator.toml");
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (cause) {
		if (systemCode(cause) === "ENOENT") {
			throw new LarderError(
				"OPERATOR_MISSING",
				`there is no operator in ${dir}`,
				{ cause },
			);
		}
		throw new LarderError("CONFIG_INVALID", `${path} cannot be read`, {
			cause,
		});
	}
	let value: unknown;
	try {
		value = parse(text);
	} catch (cause) {
		throw new LarderError("CONFIG_INVALID", `${path} is not TOML`, { cause });
	}
	const read = z.safeParse(schema, value, { error: english });
	if (read.success) return read.data;
	throw new LarderError(
		"CONFIG_INVALID",
		`${path}: ${read.error.issues.map(explain).join("; ")}`,
	);
}

/** How to get into the broker; relative paths start at the operator's folder. */
export function brokerOf(
	dir: string,
	{ broker }: Pick<OperatorConfig, "broker">,
): BrokerSettings {
	const { url, username, password_file: passwordFile, ca } = broker;
	const place = (path: string | undefined) => path && resolve(dir, path);
	return { url, username, passwordFile: place(passwordFile), ca: place(ca) };
}

/**
 * Why a box that was put off the broker may be back at once: nothing has the broker read its revocation list. Undefined where
 * something has, and where boxes come in by other means than certificates.
 */
export function reloadTrouble({
	broker: { url, username, reload = [] },
}: Pick<OperatorConfig, "broker">): string | undefined {
	if (!url.startsWith("mqtts:") || username !== undefined) return undefined;
	return reload.length > 0
		? undefined
		: "the broker does not learn who is shut out and lets them in again: set reload under [broker] in operator.toml";
}

/** A fresh operator.toml, every key with what it means. */
export function configText(settings: OperatorSettings): string {
	const host = settings.host ?? "127.0.0.1";
	const originPort = settings.originPort ?? 8480;
	const bootstrap = settings.bootstrap ?? [`${host}:${BOOTSTRAP_PORT}`];
	return `# Larder: this operator's headend. Restart the headend after a change.

# Boxes of one region serve one another.
region = ${quoted(settings.region)}

# How many different boxes are to hold each shard.
copies = ${settings.copies ?? 3}

# trace, debug, info, warn, error or fatal.
log_level = "info"

[swarm]
# The operator's own DHT nodes, as boxes reach them: larder bootstrap runs one. The public network is never used.
bootstrap = [${bootstrap.map(quoted).join(", ")}]
# Where the headend itself joins the boxes (UDP); another port than a bootstrap node's on the same machine.
host = ${quoted(host)}
port = ${settings.swarmPort ?? SWARM_PORT}

[broker]
# The MQTT broker, as boxes and headend reach it: mqtt:// or mqtts://
url = ${quoted(settings.brokerUrl ?? `mqtt://${host}:1883`)}
# An mqtts:// broker is held to the operator's own authority, keys/ca.pem, and headend and boxes show it certificates: larder
# broker config writes what Mosquitto needs for that. ca names another authority (PEM) that vouches for the broker, for the headend.
# ca = "keys/broker-ca.pem"
# Set it there: what makes every broker, the one where boxes enrol too, read its revocation list and certificate again, a SIGHUP.
# Without it a box that is revoked is put off the broker and back at once.
# reload = ["systemctl", "reload", "mosquitto", "mosquitto-enrol"]
# Or how the headend logs in by name, to a broker that asks for that; boxes are never told. Then an mqtts:// broker is held to ca, or
# to what the system trusts. The password stands alone in its file. Paths start at this file's folder; what lies in keys/ is
# only the operator's and goes into backups.
# username = "headend"
# password_file = "keys/broker-password"

[origin]
# The built-in static server for origin/. Any other HTTP server may serve that folder instead.
host = ${quoted(host)}
port = ${originPort}
# How boxes reach the origin.
url = ${quoted(settings.originUrl ?? `http://${host}:${originPort}`)}

[api]
# The operator's page. Keep it on loopback; put a proxy with logins in front of it to open it up.
host = "127.0.0.1"
port = ${settings.apiPort ?? 8490}

[ingest]
# A title in ingest/ is published once nothing in it has changed for this many seconds.
quiet = 10

[entitlement]
# Which boxes get the key of a title: "all", those on the "list" (larder entitle allow), or whom a "callback" names. In
# every mode larder entitle deny keeps a title from a box, or from all, and takes keys back at once.
mode = "all"
# How long a box may use a key before it has to ask again. It asks by itself, at two thirds; a box that is cut off plays on
# until then, and so does one that was shut out and cannot be told.
lease = "24 h"
# With "callback": gets POST {box, serial, title, asset, region, at} and answers {allow, until?, reason?}, times in
# milliseconds since 1970. The secret stands alone in its file and is sent as a bearer token. While it fails or takes
# longer than timeout, nobody new gets a key, and what it allowed is renewed for as long as grace after its last yes.
# url = "https://subscribers.example/larder"
# secret_file = "keys/entitlement-secret"
# timeout = "3 s"
# concurrency = 32
# grace = "72 h"

[policy]
# Whether boxes offer neighbours what they hold only because someone watched it. "now": a title that many begin to watch
# spreads at once, and a neighbour can tell from what a box offers what is watched there. "later": each shard after a
# while of its own, 30 min to 6 h, which blurs when but not what; in a rush the origin carries more. "never": a neighbour learns
# nothing from what is offered, and every rush is the origin's and the placed copies'.
share_transient = "now"
# When boxes fill, whatever their larder.toml says: windows of a week, by the clock of a zone; outside of them boxes do not fill, and
# in standby only where a window says so. Rates are for each box; trunk and neighbours may be "none". Of two windows the later one holds.
# fill = { zone = "Europe/Berlin", windows = [{ days = "mon-fri", hours = "1-6", trunk = "20 Mbit/s", standby = true }, { days = "sat,sun", hours = "0-8" }] }
# How long it is known which box got the keys of which titles; larder forget <box> erases it sooner.
keep_viewing = "30 days"

# Where new boxes ask to be let in, by what larder enrol claims has given the factory: url as boxes reach it, headend_url as the
# headend does. larder broker config writes what Mosquitto needs for both. Without this section no box enrols, and none that was off
# past its lease comes back by itself.
# [enrol]
# url = ${quoted(`mqtts://${host}:8884`)}
# headend_url = "mqtts://127.0.0.1:8885"
`;
}

/** A TOML string; JSON's escapes are a subset of TOML's. */
function quoted(value: string): string {
	return JSON.stringify(value);
}
