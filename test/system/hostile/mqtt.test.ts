// Whatever comes over MQTT: mutated messages on each topic, down to a real agent and up to a real headend, beside ordinary traffic.
// `npm run fuzz` sends 20,000 on each, `npm test` a tenth of them.
import { join } from "node:path";
import t from "tap";
import { readIdentity } from "../../../src/agent/identity.ts";
import { MiB } from "../../../src/base/units.ts";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import { HEADEND } from "../../../src/headend/control/broker.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import { type Attestation, signAttestation } from "../../../src/wire/attest.ts";
import { type Envelope, pack, timeOf } from "../../../src/wire/envelope.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { downTopic, headTopic, upTopic } from "../../../src/wire/topics.ts";
import { Mutator, share } from "../../mutate.ts";
import {
	addBoxes,
	logOf,
	openDesk,
	PATIENCE,
	play,
	poll,
	publishFilm,
} from "../desk.ts";
import { hostileBroker } from "./broker.ts";
import { seconds } from "./flood.ts";
import { memoryOf } from "./swarm-ground.ts";

const MESSAGES = share(20_000);
const BATCH = 100;
/** Beyond what it had before: the database and what V8 has not collected yet take some. */
const SLACK = { agent: 64 * MiB, headend: 320 * MiB } as const;
/** A process that kept a kilobyte of each message would end for want of heap. */
const HEAP = "--max-old-space-size=112";
const SIZE = 120_000;

t.setTimeout(600_000);

process.env["NODE_OPTIONS"] = HEAP;
const broker = await hostileBroker(t);
const desk = await openDesk(t, { copies: 2, broker: broker.url });
const { operator } = desk;
const { signers } = operator;
const [box] = (await addBoxes(desk, 1)) as [DeskBox];
const headend = await HeadendClient.open(operator.dir);
/** Issued and never started: what is said in its name spoils no honest box's record. */
const ghost = await issueBox(operator, {
	serial: "ghost",
	dir: join(desk.dir, "ghost"),
});
const { keyPair: ghostKey } = await readIdentity(
	join(desk.dir, "ghost", "identity.json"),
	timeOf(Date.now),
);
const ATTESTED: Attestation = {
	network: operator.network,
	box: ghost,
	title: "f".repeat(64) as TitleId,
	ordered: 1,
	bans: { epoch: 1, version: 1 },
	state: "deleted",
	at: Date.now(),
};
let films = 0;
await ordinary();
await headend.command(box.id, { kind: "report" });

/** Makes wrong messages out of the right ones. */
type Forge = (mutator: Mutator, right: readonly Buffer[]) => Buffer;

/** Whom the broker says it to. */
interface Target {
	readonly client: string;
	readonly process: Parameters<typeof memoryOf>[0];
	readonly slack: number;
	/** Answered when what came before is read, more or less: nobody could keep up with a broker that does nothing else. */
	readonly look: () => Promise<unknown>;
	readonly topics: readonly (readonly [topic: string, forge: Forge])[];
}

const HEAD = headTopic(operator.region);
const TARGETS: Readonly<Record<string, Target>> = {
	"down to an agent": {
		client: box.id,
		process: box,
		slack: SLACK.agent,
		look: () => desk.statusOf(box),
		topics: [
			[downTopic(box.id, "desired"), signed("placement", { box: ghost })],
			[downTopic(box.id, "command"), signed("placement", { box: ghost })],
			[HEAD, signedHead],
		],
	},
	"up to a headend": {
		client: `${HEADEND}${operator.network.slice(0, 16)}-up`,
		process: { process: desk.headend },
		slack: SLACK.headend,
		look: () => headend.boxes(),
		topics: [
			...(["state", "reported", "fill", "request", "response"] as const).map(
				(kind) => [upTopic(ghost, kind), spoilt] as const,
			),
			[upTopic(ghost, "attest"), attested],
		],
	},
};

for (const [what, target] of Object.entries(TARGETS))
	t.test(`${MESSAGES} on each topic ${what}`, async (t) => {
		const { client, process, slack, look, topics } = target;
		const mutator = new Mutator(what);
		const lanes = topics.map(([topic, forge]) => {
			const right = rightOn(topic);
			t.ok(right.length > 0, `real ones on ${topic}`);
			return { topic, forge, right };
		});
		const marks = [await memoryOf(process)];
		let sent = 0;
		let proven = false;
		const began = performance.now();
		const proof = ordinary().finally(() => {
			proven = true;
		});
		while (sent < MESSAGES || !proven) {
			// What is proven may take longer: then it goes on, and no longer pours.
			const batch = sent < MESSAGES ? BATCH : 1;
			for (let i = 0; i < batch; i++)
				for (const { topic, forge, right } of lanes)
					await broker.say(client, topic, forge(mutator, right));
			sent += batch;
			await look();
			if (sent % (MESSAGES / 8) === 0) marks.push(await memoryOf(process));
		}
		await proof;
		// What is said after all of it is read after all of it.
		t.match(await headend.command(box.id, { kind: "report" }), { ok: true });
		await ordinary();
		marks.push(await memoryOf(process));
		const inMiB = marks.map((bytes) => Math.round(bytes / MiB)).join(", ");
		t.comment(
			`seed "${what}": ${sent} on each topic, ${inMiB} MiB, ${seconds(began)}`,
		);
		const [before = 0] = marks;
		const growth = Math.max(...marks) - before;
		t.ok(growth < slack, `${growth} bytes more than before`);
	});

t.test("nobody ended, and no report was lost", async (t) => {
	t.notOk(desk.broken.aborted);
	const { headend: service } = desk;
	const entries = service === undefined ? [] : await logOf(service);
	t.same(
		entries.filter(({ level }) => Number(level) >= 50),
		[],
	);
	for (const slug of ["not-json", "bad-schema", "wrong-box", "late-will"])
		t.ok(
			entries.some((entry) => entry["slug"] === slug),
			`${slug}: dropped by name`,
		);
	const own = box.process === undefined ? [] : await logOf(box.process);
	t.same(
		own.filter(({ level }) => Number(level) >= 50),
		[],
	);
	for (const { length } of [entries, own])
		t.ok(length < 3000 + MESSAGES / 10, `${length} lines in the log`);
	const metrics = await (await fetch(`${desk.gatewayOf(box)}/metrics`)).text();
	for (const slug of [
		"bad-signature",
		"bad-schema",
		"not-json",
		"wrong-box",
		"wrong-region",
	])
		t.ok(counted(metrics, slug) >= share(100), `${slug} is counted`);
});

/** What goes on all along: a film is published, placed, filled, listed and played with a key that is asked for, and the levels are recorded. */
async function ordinary(): Promise<void> {
	const film = await publishFilm(desk, SIZE, `film-${++films}`);
	await desk.listed(box, film.id, AbortSignal.timeout(PATIENCE));
	await poll("the film is placed and held", async () => {
		const { titles, control } = await desk.statusOf(box);
		const found = titles.find(({ id }) => id === film.id);
		return (
			found?.held === film.shards && control.lastPlacement?.phase === "applied"
		);
	});
	const { mismatches, bytes } = await play(desk, box, film);
	if (mismatches > 0 || bytes === 0)
		throw new Error(`${mismatches} of ${bytes} bytes are wrong`);
	await poll("the levels are recorded", async () => {
		const row = (await headend.boxes()).find(({ id }) => id === box.id);
		const { store } = await desk.statusOf(box);
		return row?.online && row.used === store.usedSpace;
	});
}

/** The honest messages that passed on a topic, or on the real box's of the same kind, as the ghost would say them. */
function rightOn(topic: string): Buffer[] {
	// Nothing was taken back here.
	if (topic === upTopic(ghost, "attest"))
		return [encodeMessage([signAttestation(ghostKey, ATTESTED)])];
	const real = topic.replace(ghost, box.id);
	return broker.passed.flatMap((each) =>
		each.topic === real
			? [Buffer.from(`${each.payload}`.replaceAll(box.id, ghost))]
			: [],
	);
}

function spoilt(mutator: Mutator, right: readonly Buffer[]): Buffer {
	return mutator.below(2) === 0
		? mutator.bytes(right)
		: Buffer.from(mutator.json(JSON.parse(`${mutator.pick(right)}`)));
}

/** A third of them past the signature: as if the key were stolen, but for somebody else, so that none of them is to be obeyed. */
function signed(purpose: keyof typeof signers, elsewhere: object): Forge {
	return (mutator, right) => {
		if (mutator.below(3) > 0) return spoilt(mutator, right);
		const { payload } = JSON.parse(`${mutator.pick(right)}`) as Envelope;
		const said = JSON.parse(Buffer.from(payload, "base64").toString());
		const wrong = Buffer.from(mutator.json({ ...said, ...elsewhere }));
		const { pair, grant } = signers[purpose];
		const sealed = pack(`larder/envelope/1/${purpose}`, wrong, pair);
		return encodeMessage({ v: 1, purpose, ...sealed, grant });
	};
}

/** Some of them signed by the box in whose name they are said, with anything in them. */
function attested(mutator: Mutator, right: readonly Buffer[]): Buffer {
	if (mutator.below(3) > 0) return spoilt(mutator, right);
	const said = Buffer.from(mutator.json(ATTESTED));
	return encodeMessage([pack("larder/attest/1", said, ghostKey)]);
}

function signedHead(mutator: Mutator, right: readonly Buffer[]): Buffer {
	if (mutator.below(3) > 0) return spoilt(mutator, right);
	const part = mutator.pick(["announcement", "bans"] as const);
	const parts = right.flatMap((head) => JSON.parse(`${head}`)[part] ?? []);
	const purpose = part === "bans" ? "revoke" : "catalog";
	const forge = signed(purpose, { region: "elsewhere" });
	const wrong = forge(
		mutator,
		parts.map((each) => encodeMessage(each)),
	);
	return Buffer.from(`{"${part}":${wrong}}`);
}

function counted(metrics: string, slug: string): number {
	const line = `larder_refused_messages_total{slug="${slug}"} `;
	const [, rest = ""] = metrics.split(line);
	return Number.parseInt(rest, 10);
}
