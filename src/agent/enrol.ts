import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod/mini";
import { LarderError } from "../base/errors.ts";
import type { Log } from "../base/log.ts";
import { Enrolling } from "../control/enrolling.ts";
import type { Fresh } from "../control/issuances.ts";
import { type EnrolFile, enrolFile, type Papers } from "../wire/enrol.ts";
import { type Signed, trustIn } from "../wire/envelope.ts";
import { type BoxId, hex32 } from "../wire/ids.ts";
import { parseMessage } from "../wire/json.ts";
import {
	generateKeyPair,
	type KeyPair,
	keyPairFromSeed,
} from "../wire/keys.ts";
import { openSealed } from "../wire/sealed.ts";
import type { BoxClock } from "./clock.ts";
import type { Config } from "./config.ts";
import {
	type Identity,
	readIdentity,
	readPrivate,
	writeIdentity,
} from "./identity.ts";
import { writePrivate } from "./private.ts";

/** The key of a box that has no identity yet: it is the same until the box is let in, however often it starts. */
const keyFile = z.object({ v: z.literal(1), seed: hex32 });

export interface EnrolOptions {
	readonly config: Pick<Config, "identity" | "enrol">;
	readonly clock: BoxClock;
	/** What is waited for, in words for a person. */
	readonly onWait: (why: string) => void;
	readonly log: Log;
}

/**
 * The identity of this box: the one that it has, or the one that the operator gives it by what the factory wrote into
 * enrol.json. That takes as long as the operator takes. Throws IDENTITY_MISSING without either, IDENTITY_INVALID,
 * ENROL_INVALID or STORE_UNUSABLE.
 */
export async function identityOf(options: EnrolOptions): Promise<Identity> {
	const { config, clock } = options;
	try {
		return await readIdentity(config.identity, clock);
	} catch (error) {
		if (!isMissing(error)) throw error;
		const file = await readEnrolFile(config.enrol);
		// Neither: that there is no identity says more to whoever expected one.
		if (file === undefined) throw error;
		return await enrol(file, options);
	}
}

async function enrol(
	file: EnrolFile,
	{ config, clock, onWait, log }: EnrolOptions,
): Promise<Identity> {
	const keyPath = join(dirname(config.identity), "identity.key");
	const keyPair = await firstKey(keyPath);
	const box = keyPair.publicKey.toString("hex") as BoxId;
	const rootKey = Buffer.from(file.rootKey, "hex");
	const trust = trustIn(rootKey, clock.now, clock.latest);
	if (trust.network !== file.network)
		throw invalid(
			config.enrol,
			"names a network that its root key does not stand for",
		);
	const { serial, batch, claim, ca, url } = file;
	log.info({ box, serial, batch }, "asking to be let in");
	onWait(`asking to be let in as ${serial}`);
	const answer = Promise.withResolvers<[Papers, Signed | undefined]>();
	let told: string | undefined;
	const hear = (fresh: Fresh) => {
		clock.learn(fresh);
		const { papers, mandate, refusal = "refused" } = fresh.said;
		if (papers !== undefined) answer.resolve([papers, mandate]);
		else if (refusal !== told) {
			told = refusal;
			log.warn({ slug: refusal, serial }, "not let in yet");
			onWait(
				refusal === "pending"
					? `${serial} waits for the operator's approval`
					: `${serial} is not let in: ${refusal}`,
			);
		}
	};
	const way = new Enrolling({
		...{ url, ca },
		identity: { box, trust },
		introduction: { keyPair, serial, batch, claim: Buffer.from(claim, "hex") },
		onAnswer: hear,
		log,
	});
	try {
		way.start();
		const [papers, mandate] = await answer.promise;
		const { enrolUrl: newEnrolUrl } = papers;
		await writeIdentity(config.identity, {
			v: 1,
			seed: keyPair.seed.toString("hex"),
			network: file.network,
			region: papers.region,
			rootKey: file.rootKey,
			networkSecret: openSecret(papers, keyPair).toString("hex"),
			certificate: papers.certificate,
			chain: papers.chain,
			ca,
			enrolUrl: url,
			...(newEnrolUrl !== url && { newEnrolUrl }),
			mandate,
		});
	} finally {
		await way.close();
	}
	const identity = await readIdentity(config.identity, clock);
	await rm(keyPath);
	log.info({ box, region: identity.region }, "let in");
	return identity;
}

/** Undefined when there is none. */
async function readEnrolFile(path: string): Promise<EnrolFile | undefined> {
	let bytes: Buffer;
	try {
		bytes = await readPrivate(path);
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
	// What systemd hands over when there is none: larder-agent.service.
	if (bytes.equals(Buffer.from("{}"))) return undefined;
	const read = parseMessage(enrolFile, bytes);
	if (!read.ok) throw invalid(path, `${read.reason}, ${read.detail}`);
	return read.value;
}

async function firstKey(path: string): Promise<KeyPair> {
	try {
		const read = parseMessage(keyFile, await readPrivate(path));
		if (read.ok) return keyPairFromSeed(Buffer.from(read.value.seed, "hex"));
		throw invalid(path, `${read.reason}, ${read.detail}`);
	} catch (error) {
		if (!isMissing(error)) throw error;
	}
	const pair = generateKeyPair();
	const seed = pair.seed.toString("hex");
	await writePrivate(path, `${JSON.stringify({ v: 1, seed })}\n`);
	return pair;
}

function openSecret({ secret }: Papers, keyPair: KeyPair): Buffer {
	const opened = openSealed(keyPair, Buffer.from(secret, "base64"));
	if (opened?.byteLength === 32) return opened;
	throw new LarderError(
		"IDENTITY_INVALID",
		"the network's secret that came is not for this box",
	);
}

function isMissing(error: unknown): boolean {
	return error instanceof LarderError && error.code === "IDENTITY_MISSING";
}

function invalid(path: string, problem: string): LarderError {
	return new LarderError("ENROL_INVALID", `${path}: ${problem}`);
}
