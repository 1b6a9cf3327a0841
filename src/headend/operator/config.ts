import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parse } from "smol-toml";
import * as z from "zod/mini";
import { LarderError, systemCode } from "../../base/errors.ts";
import { LOG_LEVELS } from "../../base/log.ts";
import { parseSpan } from "../../base/time.ts";
import { parseRate } from "../../base/units.ts";
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
const rate = z.pipe(
	z
		.string()
		.check(
			z.refine(
				(text) => parseRate(text) !== undefined,
				'must be a rate such as "200 Mbit/s", or "0" for no limit',
			),
		),
	z.transform((text) => parseRate(text) ?? 0),
);
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
		origin_budget: z.prefault(rate, "0"),
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
