// Wrong messages by the thousand, as a broker in the wrong hands may say them to whoever is connected.
import type { Test } from "tap";
import { MiB } from "../../../src/base/units.ts";
import {
	type Envelope,
	pack,
	type Signer,
} from "../../../src/wire/envelope.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { Mutator, share } from "../../mutate.ts";
import type { HostileBroker } from "./broker.ts";
import { seconds } from "./flood.ts";
import { memoryOf } from "./swarm-ground.ts";

/** On each topic. */
export const MESSAGES = share(20_000);
/** At a time: then it is looked whether somebody still answers. */
export const BATCH = 100;
/** A process that kept a kilobyte of each message would end for want of heap. */
export const HEAP = "--max-old-space-size=112";

/** Makes wrong messages out of the right ones. */
export type Forge = (mutator: Mutator, right: readonly Buffer[]) => Buffer;

/** Whom the broker says it to. */
export interface Target {
	/** How its client id begins. */
	readonly client: string;
	readonly process: Parameters<typeof memoryOf>[0];
	/** Bytes of memory beyond what it had before: the database and what V8 has not collected yet take some. */
	readonly slack: number;
	/**
	 * Answered when what came before is read, more or less: nobody could keep up with a broker that does nothing else.
	 * @param sent how many on each topic
	 */
	readonly look: (sent: number) => Promise<unknown>;
	readonly topics: readonly Topic[];
}

export interface Topic {
	readonly topic: string;
	/** What is right on it, as far as it is known when it begins. */
	readonly right: () => readonly Buffer[];
	readonly forge: Forge;
}

/** What goes on while it is poured, and what is said after all of it. */
export interface Beside {
	readonly during: () => Promise<unknown>;
	readonly after: () => Promise<unknown>;
}

/** Says MESSAGES wrong ones on each topic of a target. */
export async function pour(
	t: Test,
	seed: string,
	broker: HostileBroker,
	{ client, process, slack, look, topics }: Target,
	{ during, after }: Beside,
): Promise<void> {
	const mutator = new Mutator(seed);
	const lanes = topics.map(({ topic, right, forge }) => {
		const real = right();
		t.ok(real.length > 0, `real ones on ${topic}`);
		return { topic, forge, real };
	});
	const marks = [await memoryOf(process)];
	let sent = 0;
	let proven = false;
	const began = performance.now();
	const proof = during().finally(() => {
		proven = true;
	});
	while (sent < MESSAGES || !proven) {
		// What is proven may take longer: then it goes on, and no longer pours.
		const batch = sent < MESSAGES ? BATCH : 1;
		for (let i = 0; i < batch; i++)
			for (const { topic, forge, real } of lanes)
				await broker.say(client, topic, forge(mutator, real));
		sent += batch;
		await look(sent);
		if (sent % (MESSAGES / 8) === 0) marks.push(await memoryOf(process));
	}
	await proof;
	await after();
	marks.push(await memoryOf(process));
	const inMiB = marks.map((bytes) => Math.round(bytes / MiB)).join(", ");
	t.comment(
		`seed "${seed}": ${sent} on each topic, ${inMiB} MiB, ${seconds(began)}`,
	);
	const [before = 0] = marks;
	const growth = Math.max(...marks) - before;
	t.ok(growth < slack, `${growth} bytes more than before`);
}

export function spoilt(mutator: Mutator, right: readonly Buffer[]): Buffer {
	return mutator.below(2) === 0
		? mutator.bytes(right)
		: Buffer.from(mutator.json(JSON.parse(`${mutator.pick(right)}`)));
}

/** A third of them past the signature: as if the key were stolen, but for somebody else, so that none of them is to be obeyed. */
export function signed(
	{ purpose, pair, grant }: Signer,
	elsewhere: object,
): Forge {
	return (mutator, right) => {
		if (mutator.below(3) > 0) return spoilt(mutator, right);
		const { payload } = JSON.parse(`${mutator.pick(right)}`) as Envelope;
		const said = JSON.parse(Buffer.from(payload, "base64").toString());
		const wrong = Buffer.from(mutator.json({ ...said, ...elsewhere }));
		const sealed = pack(`larder/envelope/1/${purpose}`, wrong, pair);
		return encodeMessage({ v: 1, purpose, ...sealed, grant });
	};
}
