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
import { pack, timeOf } from "../../../src/wire/envelope.ts";
import type { TitleId } from "../../../src/wire/ids.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import type { Quality, Watched } from "../../../src/wire/quality.ts";
import {
	downTopic,
	headTopic,
	qualityTopic,
	upTopic,
} from "../../../src/wire/topics.ts";
import { type Mutator, share } from "../../mutate.ts";
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
import {
	type Forge,
	HEAP,
	MESSAGES,
	pour,
	signed,
	spoilt,
	type Target,
	type Topic,
} from "./pour.ts";

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
const WATCHED: Watched = {
	...{ id: "0".repeat(16), title: "f".repeat(64) as TitleId, starts: [400] },
	...{ played: 60_000, stalls: 1, stalled: 900, seeks: 2, switches: 3 },
	...{ bitrate: 4e6, disk: 1, neighbours: 2, origin: 3, misses: { disk: 4 } },
};
let films = 0;
await ordinary();
await headend.command(box.id, { kind: "report" });

const HEAD = headTopic(operator.region);
const QUALITY = qualityTopic(operator.region);
function topic(name: string, forge: Forge): Topic {
	return { topic: name, forge, right: () => rightOn(name) };
}

const TARGETS: Readonly<Record<string, Target>> = {
	"down to an agent": {
		client: box.id,
		process: box,
		slack: 64 * MiB,
		look: () => desk.statusOf(box),
		topics: [
			topic(
				downTopic(box.id, "desired"),
				signed(signers.placement, { box: ghost }),
			),
			topic(
				downTopic(box.id, "command"),
				signed(signers.placement, { box: ghost }),
			),
			topic(HEAD, signedHead),
		],
	},
	"up to a headend": {
		client: `${HEADEND}${operator.network.slice(0, 16)}-up`,
		process: { process: desk.headend },
		slack: 320 * MiB,
		look: () => headend.boxes(),
		topics: [
			...(["state", "reported", "fill", "request", "response"] as const).map(
				(kind) => topic(upTopic(ghost, kind), spoilt),
			),
			topic(upTopic(ghost, "attest"), attested),
			topic(QUALITY, spoilt),
		],
	},
};

for (const [what, target] of Object.entries(TARGETS))
	t.test(`${MESSAGES} on each topic ${what}`, async (t) => {
		await pour(t, what, broker, target, {
			during: ordinary,
			after: async () => {
				// What is said after all of it is read after all of it.
				t.match(await headend.command(box.id, { kind: "report" }), {
					ok: true,
				});
				await ordinary();
			},
		});
	});

t.test("the end of another life ends nothing", async (t) => {
	const name = upTopic(ghost, "state");
	const client = TARGETS["up to a headend"]?.client ?? "";
	const said = JSON.parse(`${rightOn(name)[0]}`);
	const lives = [
		{ online: true, session: "1".repeat(16) },
		{ online: false, session: "2".repeat(16) },
	];
	for (const life of lives) {
		const message = encodeMessage({ ...said, ...life, box: ghost });
		await broker.say(client, name, message);
	}
	t.match(await headend.command(box.id, { kind: "report" }), { ok: true });
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
	if (topic === QUALITY)
		return [encodeMessage({ watched: [WATCHED] } satisfies Quality)];
	const real = topic.replace(ghost, box.id);
	return broker.passed.flatMap((each) =>
		each.topic === real
			? [Buffer.from(`${each.payload}`.replaceAll(box.id, ghost))]
			: [],
	);
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
	const signer = part === "bans" ? signers.revoke : signers.catalog;
	const forge = signed(signer, { region: "elsewhere" });
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
