// A broker in the wrong hands: it replays, rolls back, edits, swaps and holds back what the operator says. No box obeys it.
import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import type { CommandBody } from "../../../src/wire/command.ts";
import { type Envelope, seal } from "../../../src/wire/envelope.ts";
import type { Head } from "../../../src/wire/head.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { downTopic, headTopic } from "../../../src/wire/topics.ts";
import {
	addBoxes,
	filled,
	logOf,
	openDesk,
	PATIENCE,
	play,
	poll,
	publishFilm,
} from "../desk.ts";
import { hostileBroker } from "./broker.ts";

/** What a box writes of itself at its end, whatever it hears. */
const OWN = new Set([
	...["time.json", "scrub.json", "writes.json", "today.json"],
	"cuts.json",
]);

const SIZE = 600_000;

t.setTimeout(300_000);

const broker = await hostileBroker(t);
const desk = await openDesk(t, { copies: 2, broker: broker.url });
const { operator } = desk;
const { network, region, signers } = operator;
const [box, other] = (await addBoxes(desk, 2)) as [DeskBox, DeskBox];
const headend = await HeadendClient.open(operator.dir);

// What the operator says in the ordinary way; the broker takes it all down.
const film = await publishFilm(desk, SIZE, "first");
await filled(desk, film.shards * 2);
const second = await publishFilm(desk, SIZE, "second");
await filled(desk, (film.shards + second.shards) * 2);
for (const each of [box, other])
	await desk.listed(each, second.id, AbortSignal.timeout(PATIENCE));
await playFilm(box);
await playFilm(other);
const gone = await issueBox(operator, {
	serial: "gone",
	dir: join(desk.dir, "gone"),
});
await headend.revoke(gone, "for the test");
await headend.command(box.id, { kind: "log-level", level: "debug" });
await headend.command(other.id, { kind: "report" });
for (const each of [box, other]) await headend.support(each.id);
await poll("it logs what only a loud box does", async () => {
	await nudge();
	return (await logOf(processOf(box))).some(isLoud);
});
await headend.command(box.id, { kind: "log-level", level: "info" });

const desired = (id: DeskBox) => down(downTopic(id.id, "desired"));
const commands = (id: DeskBox) => down(downTopic(id.id, "command"));
const HEAD = headTopic(region);
const heads = await poll("a head shuts a box out", async () => {
	const found = down(HEAD);
	return statement(partOf(found.at(-1), "bans"))["revoked"]?.length && found;
});
const placed = desired(box);
const newest = last(placed);
const head = last(heads);
const isBody = (kind: CommandBody["kind"]) => (command: Buffer) =>
	statement(envelopeIn(command))["body"].kind === kind;
const key = last(commands(box).filter(isBody("key")));
const [loud] = commands(box).filter(isBody("log-level"));
const support = last(commands(box).filter(isBody("support")));

type Edit = (envelope: Envelope) => object;

interface Case {
	readonly what: string;
	readonly on: "desired" | "command" | "head" | "another's";
	readonly payload: Buffer;
	/** How the box reports it; undefined for what is known already and changes nothing. */
	readonly slug?: string;
	/** How many parts of a head are refused; one unless said. */
	readonly times?: number;
}

const grantOf = (part: keyof Head) => envelopeOf(head, part).grant;

const CASES: readonly Case[] = [
	// Rolled back and said again.
	...rollbacks(),
	{ what: "the placement in force", on: "desired", payload: newest },
	{ what: "the head in force", on: "head", payload: head },
	{
		what: "the announcement alone",
		on: "head",
		payload: headWith({ bans: undefined }),
	},
	{
		what: "an older announcement beside the bans in force",
		on: "head",
		payload: headWith({ announcement: partOf(heads[0], "announcement") }),
		slug: "rollback",
	},
	{
		what: "older bans beside the announcement in force",
		on: "head",
		payload: headWith({ bans: partOf(heads[0], "bans") }),
		slug: "rollback",
	},
	...commands(box).map((payload, index) => ({
		...({
			what: `command ${index} once more`,
			on: "command",
			payload,
		} as const),
		slug: "repeated",
	})),
	{
		what: "a command that was held back until it expired",
		on: "command",
		payload: seal(signers.placement, {
			...{ network, box: box.id, id: "0".repeat(32), issuedAt: 1, expires: 2 },
			body: { kind: "log-level", level: "fatal" },
		}),
		slug: "expired",
	},
	// Swapped between boxes and topics.
	...desired(other).map((payload, index) => ({
		...({
			what: `placement ${index} of another box`,
			on: "desired",
			payload,
		} as const),
		slug: "wrong-box",
	})),
	...commands(other).map((payload, index) => ({
		...({
			what: `command ${index} to another box`,
			on: "command",
			payload,
		} as const),
		slug: "wrong-box",
	})),
	{
		what: "a placement on the topic of commands",
		on: "command",
		payload: newest,
		slug: "bad-schema",
	},
	{
		what: "a placement on the topic of heads",
		on: "head",
		payload: newest,
		slug: "bad-schema",
	},
	{
		what: "a key on the topic of placements",
		on: "desired",
		payload: key,
		slug: "bad-schema",
	},
	{
		what: "a key on the topic of heads",
		on: "head",
		payload: key,
		slug: "bad-schema",
	},
	{
		what: "a head on the topic of placements",
		on: "desired",
		payload: head,
		slug: "bad-schema",
	},
	{
		what: "a head on the topic of commands",
		on: "command",
		payload: head,
		slug: "bad-schema",
	},
	{
		what: "its own placement on another box's topic",
		on: "another's",
		payload: newest,
		slug: "wrong-topic",
	},
	{
		what: "bans on the topic of placements",
		on: "desired",
		payload: encodeMessage(envelopeOf(head, "bans")),
		slug: "wrong-purpose",
	},
	{
		what: "an announcement on the topic of commands",
		on: "command",
		payload: encodeMessage(envelopeOf(head, "announcement")),
		slug: "wrong-purpose",
	},
	{
		what: "bans and announcement in each other's place",
		on: "head",
		payload: headWith({
			announcement: partOf(head, "bans"),
			bans: partOf(head, "announcement"),
		}),
		slug: "wrong-purpose",
		times: 2,
	},
	{
		what: "a placement in the place of an announcement",
		on: "head",
		payload: headWith({ announcement: envelopeIn(newest) }),
		slug: "wrong-purpose",
	},
	{
		what: "bans in the place of the root's mandate",
		on: "head",
		payload: headWith({ mandate: envelopeOf(head, "bans") }),
		slug: "bad-signature",
	},
	// Edited: what is said.
	...said(newest, "desired", {
		"a higher revision": (it) => ({ ...it, rev: Number(it["rev"]) + 1 }),
		"another epoch": (it) => ({ ...it, epoch: Number(it["epoch"]) + 1 }),
		"no titles": (it) => ({
			...it,
			rev: Number(it["rev"]) + 1,
			body: { titles: [] },
		}),
		"a body elsewhere": (it) => ({
			...{ ...it, rev: Number(it["rev"]) + 1 },
			body: { ref: "placement/x", sha256: "0".repeat(64), size: 9 },
		}),
	}),
	...said(last(desired(other)), "desired", {
		"another box's name crossed out": (it) => ({ ...it, box: box.id }),
	}),
	...said(key, "command", {
		"a new id": (it) => ({ ...it, id: "1".repeat(32) }),
		"more time": (it) => ({ ...it, expires: Number(it["expires"]) + 1e9 }),
		"another order": (it) => ({
			...{ ...it, id: "2".repeat(32) },
			body: { kind: "log-level", level: "trace" },
		}),
		"an order for a support bundle": (it) => ({
			...{ ...it, id: "4".repeat(32), body: { kind: "support" } },
		}),
		"an order to update": (it) => ({
			...{ ...it, id: "5".repeat(32) },
			body: { kind: "update", title: film.id, statement: envelopeIn(key) },
		}),
		"another sealed key": (it) => ({
			...{ ...it, id: "3".repeat(32) },
			body: { ...it["body"], sealed: "AAAA" },
		}),
	}),
	...said(support, "command", {
		"a new id for a support bundle": (it) => ({ ...it, id: "6".repeat(32) }),
	}),
	...(["announcement", "bans"] as const).map((part) => ({
		...({ what: `a newer version on the ${part}`, on: "head" } as const),
		payload: headWith({
			[part]: rewrite(envelopeOf(head, part), (it) => ({
				...it,
				version: Number(it["version"]) + 1,
				...(part === "bans" && { revoked: [other.id] }),
			})),
		}),
		slug: "bad-signature",
	})),
	// Edited: how it is signed.
	...edits("bad-signature", {
		"an older one's signature": (it) => ({
			...it,
			signature: envelopeIn(placed[0]).signature,
		}),
		"an older one's payload": (it) => ({
			...it,
			payload: envelopeIn(placed[0]).payload,
		}),
		"a key's signature": (it) => ({
			...it,
			signature: envelopeIn(key).signature,
		}),
		"a signature of one bit more": ({ signature, ...it }) => ({
			...it,
			signature: flipped(signature),
		}),
		"no signature": (it) => ({ ...it, signature: "" }),
		"a signature twice as long": (it) => ({
			...it,
			signature: Buffer.alloc(128, it.signature, "base64").toString("base64"),
		}),
		"the grant's signature": (it) => ({ ...it, signature: it.grant.signature }),
		"a grant that it wrote itself": (it) => ({
			...it,
			grant: {
				...it.grant,
				payload: Buffer.from(
					JSON.stringify({
						...JSON.parse(Buffer.from(it.grant.payload, "base64").toString()),
						notAfter: 1e15,
					}),
				).toString("base64"),
			},
		}),
		"its own payload as grant": (it) => ({
			...it,
			grant: { payload: it.payload, signature: it.signature },
		}),
	}),
	...edits("wrong-purpose", {
		"the grant of the catalog's key": (it) => ({
			...it,
			grant: grantOf("announcement"),
		}),
		"the grant of the revoker's key": (it) => ({
			...it,
			grant: grantOf("bans"),
		}),
		"another purpose on it": (it) => ({ ...it, purpose: "revoke" }),
		"another purpose and its grant": (it) => ({
			...it,
			purpose: "catalog",
			grant: grantOf("announcement"),
		}),
	}),
	// Edited: the envelope.
	...edits("bad-schema", {
		"a version to come": (it) => ({ ...it, v: 2 }),
		"a purpose that is none": (it) => ({ ...it, purpose: "everything" }),
		"no grant": ({ grant: _, ...it }) => it,
		"no payload": ({ payload: _, ...it }) => it,
		"a payload that is not base64": (it) => ({
			...it,
			payload: `{}${it.payload}`,
		}),
		"a list around it": (it) => [it],
	}),
	...edits(undefined, {
		"more in it than there was": (it) => ({
			...it,
			box: other.id,
			rev: 1e6,
			grants: [it.grant],
		}),
		"its parts in another order": ({ v, ...it }) => ({ ...it, v }),
	}),
	{
		what: "half of a placement",
		on: "desired",
		payload: newest.subarray(0, newest.length / 2),
		slug: "not-json",
	},
	{
		what: "a placement and a half",
		on: "desired",
		payload: Buffer.concat([newest, newest.subarray(9)]),
		slug: "not-json",
	},
	{
		what: "nothing",
		on: "command",
		payload: Buffer.alloc(0),
		slug: "not-json",
	},
	{
		what: "a head that says nothing",
		on: "head",
		payload: encodeMessage({}),
		slug: "bad-schema",
	},
];

t.test("nothing that a broker does to messages is obeyed", async (t) => {
	t.ok(loud, "a command that is worth repeating was taken down");
	const before = await stateOf(box);
	const entries = (await logOf(processOf(box))).length;
	const films = beside(box);
	const expected = new Map<string, number>();
	for (const { what, on, payload, slug, times = 1 } of CASES) {
		await bring(on, payload, slug, what);
		const told = slug ?? MARK.slug;
		expected.set(told, (expected.get(told) ?? 0) + times);
	}
	const plays = await films.end();
	t.comment(`${CASES.length} messages, ${plays} films played beside them`);
	t.ok(plays > 0);
	t.same(await refusedBy(box), expected, "each is counted, by its slug");
	t.ok(answeredOnce(), "nothing of it was answered");
	t.same(await stateOf(box), before, "all on it is as it was");
	await nudge();
	await headend.command(box.id, { kind: "report" });
	const noise = (await logOf(processOf(box))).slice(entries);
	t.same(noise.filter(isLoud), [], "it logs as it was told last");
});

t.test("what is held back is obeyed when it comes", async (t) => {
	const topic = downTopic(box.id, "desired");
	const { lastPlacement } = (await desk.statusOf(box)).control;
	broker.hold = (name) => name === topic || name === HEAD;
	const known = desired(box).length;
	const third = await publishFilm(desk, SIZE, "third");
	await poll(
		"a placement is held back",
		async () => desired(box).length > known,
	);
	await bring("desired", newest, undefined, "the old placement meanwhile");
	t.same((await desk.statusOf(box)).control.lastPlacement, lastPlacement);
	broker.hold = () => false;
	await broker.say(box.id, topic, last(desired(box)));
	await broker.say(box.id, HEAD, last(down(HEAD)));
	await filled(desk, (film.shards + second.shards + third.shards) * 2);
	await desk.listed(box, third.id, AbortSignal.timeout(PATIENCE));
	const { mismatches } = await play(desk, box, third);
	t.equal(mismatches, 0, "and the key came");
	t.match(await headend.command(box.id, { kind: "log-level", level: "info" }), {
		ok: true,
	});
});

t.test("nor does a restart make a box forget what it heard", async (t) => {
	const before = await stateOf(box);
	await box.process?.stop();
	const shown = new Map([
		[HEAD, heads[0]],
		[downTopic(box.id, "desired"), newest],
	]);
	broker.instead = (topic) => shown.get(topic);
	await desk.startBox(box);
	await poll("both are refused", async () => {
		const counts = await refusedBy(box);
		return (counts.get("rollback") ?? 0) >= 2;
	});
	broker.instead = () => undefined;
	for (const [index, command] of commands(box)
		.filter(isBody("log-level"))
		.entries())
		await bring(
			"command",
			command,
			"repeated",
			`order ${index}, obeyed before`,
		);
	t.ok(answeredOnce());
	const { store } = before;
	await poll(
		"it knows what it holds",
		async () => (await stateOf(box)).store.heldBytes === store.heldBytes,
	);
	t.same(await stateOf(box), before);
	t.match(await headend.command(box.id, { kind: "report" }), { ok: true });
});

/** What shows that everything before it was read. */
const MARK = { payload: Buffer.from("mark"), slug: "not-json" } as const;

/** Brings the box a message and waits until it has told what it thinks of it. */
async function bring(
	on: Case["on"],
	payload: Buffer,
	slug: string | undefined,
	what: string,
): Promise<void> {
	const topic = {
		head: HEAD,
		desired: downTopic(box.id, "desired"),
		command: downTopic(box.id, "command"),
		"another's": downTopic(other.id, "desired"),
	}[on];
	const from = broker.refusals(box.id).length;
	await broker.say(box.id, topic, payload);
	if (slug === undefined)
		await broker.say(box.id, downTopic(box.id, "command"), MARK.payload);
	const told = await poll(`${what} is reported`, async () =>
		broker.refusals(box.id).at(from),
	);
	if (told.code !== (slug ?? MARK.slug))
		throw new Error(`${what}: ${told.code}, ${told.detail}`);
}

/** Plays a film on a box again and again until `end`, which gives how often. */
function beside(viewer: DeskBox): { end(): Promise<number> } {
	let over = false;
	const playing = (async () => {
		let plays = 0;
		while (!over) {
			await playFilm(viewer);
			plays++;
		}
		return plays;
	})();
	playing.catch(() => undefined);
	return {
		end() {
			over = true;
			return playing;
		},
	};
}

async function playFilm(viewer: DeskBox): Promise<void> {
	const { bytes, mismatches } = await play(desk, viewer, film);
	if (bytes !== film.manifest.size || mismatches > 0)
		throw new Error(`${mismatches} of ${bytes} bytes are wrong`);
}

/** What a box holds, obeys and shows. */
async function stateOf(of: DeskBox) {
	const { control, titles, ...status } = await desk.statusOf(of);
	const { usedSpace, placedBytes, heldBytes, shards } = status.store;
	const store = { usedSpace, placedBytes, heldBytes, shards };
	const listed = await fetch(`${desk.gatewayOf(of)}/titles`);
	const { epoch, rev } = control.lastPlacement ?? {};
	const data = join(of.dir, "data");
	const files = new Map<string, string>();
	for (const folder of ["control", "keys", "shards"])
		for (const entry of await readdir(join(data, folder), {
			recursive: true,
			withFileTypes: true,
		})) {
			// The clock goes on.
			if (!entry.isFile() || OWN.has(entry.name)) continue;
			const path = join(entry.parentPath, entry.name);
			const written = await readFile(path);
			// A lease's own clock goes on, too.
			const bytes =
				folder === "keys"
					? encodeMessage({ ...JSON.parse(`${written}`), elapsed: 0 })
					: written;
			files.set(path, createHash("sha256").update(bytes).digest("hex"));
		}
	const shown = (await listed.json()) as { id: string; playable: boolean }[];
	return {
		...{ epoch, rev, store, titles, files },
		listed: shown.map(({ id, playable }) => ({ id, playable })),
	};
}

/** Whether each order that was obeyed was the headend's own, and obeyed once. */
function answeredOnce(): boolean {
	const ids = broker.responses(box.id).map(({ id }) => id);
	const sent = new Set(
		commands(box).map((each) => statement(envelopeIn(each))["id"]),
	);
	return new Set(ids).size === ids.length && ids.every((id) => sent.has(id));
}

async function refusedBy(of: DeskBox): Promise<Map<string, number>> {
	const answer = await fetch(`${desk.gatewayOf(of)}/metrics`);
	const lines = (await answer.text()).matchAll(
		/^larder_refused_messages_total\{slug="([^"]+)"\} (\d+)$/gm,
	);
	return new Map([...lines].map(([, slug = "", n]) => [slug, Number(n)]));
}

/** A word of the operator's that changes nothing, and that a box which is told to be loud logs. */
async function nudge(): Promise<void> {
	const [request, id] = [randomBytes(16), randomBytes(16)];
	const payload = seal(signers.placement, {
		...{ network, box: box.id, id: id.toString("hex") },
		...{ issuedAt: Date.now(), expires: Date.now() + 1e6 },
		body: {
			...{ kind: "key-denied", request: request.toString("hex") },
			...{ title: film.id, reason: "a test" },
		},
	});
	await broker.say(box.id, downTopic(box.id, "command"), payload);
}

function isLoud({ level }: Record<string, unknown>): boolean {
	return Number(level) < 30;
}

function processOf({ process }: DeskBox) {
	if (process === undefined) throw new Error("it does not run");
	return process;
}

function down(topic: string): Buffer[] {
	return broker.passed.flatMap((each) =>
		each.topic === topic ? [each.payload] : [],
	);
}

function last(list: readonly Buffer[]): Buffer {
	const found = list.at(-1);
	if (found === undefined) throw new Error("no such message passed");
	return found;
}

function envelopeIn(payload: Buffer | undefined): Envelope {
	return JSON.parse(`${payload}`);
}

function partOf(payload: Buffer | undefined, part: "announcement" | "bans") {
	return envelopeOf(payload, part);
}

function envelopeOf(payload: Buffer | undefined, part: keyof Head): Envelope {
	return JSON.parse(`${payload}`)[part];
}

// biome-ignore lint/suspicious/noExplicitAny: whatever a message says
function statement({ payload }: Envelope): Record<string, any> {
	return JSON.parse(Buffer.from(payload, "base64").toString());
}

/** The same envelope with something else in it. */
function rewrite(
	envelope: Envelope,
	// biome-ignore lint/suspicious/noExplicitAny: whatever a message says
	change: (said: Record<string, any>) => object,
): Envelope {
	const payload = encodeMessage(change(statement(envelope)));
	return { ...envelope, payload: payload.toString("base64") };
}

function headWith(parts: object): Buffer {
	return encodeMessage({ ...JSON.parse(`${head}`), ...parts });
}

function flipped(base64: string): string {
	const bytes = Buffer.from(base64, "base64");
	bytes[0] = (bytes[0] ?? 0) ^ 1;
	return bytes.toString("base64");
}

/** All placements and heads that were in force once. */
function rollbacks(): Case[] {
	const old = (all: readonly Buffer[], now: Buffer) =>
		all.filter((payload) => !payload.equals(now));
	const slug = "rollback";
	return [
		...old(placed, newest).map((payload, index) => ({
			...{ what: `placement ${index}, which is older`, on: "desired" as const },
			...{ payload, slug },
		})),
		...old(heads, head).map((payload, index) => ({
			...{ what: `head ${index}, which is older`, on: "head" as const },
			...{ payload, slug },
			times: (["announcement", "bans"] as const).filter(
				(part) =>
					partOf(payload, part).signature !== partOf(head, part).signature,
			).length,
		})),
	];
}

function said(
	message: Buffer,
	on: Case["on"],
	changes: Readonly<Record<string, Parameters<typeof rewrite>[1]>>,
): Case[] {
	return Object.entries(changes).map(([what, change]) => ({
		...{ what: `${on} with ${what}`, on, slug: "bad-signature" },
		payload: encodeMessage(rewrite(envelopeIn(message), change)),
	}));
}

/** The placement in force in another envelope. */
function edits(
	slug: string | undefined,
	changes: Readonly<Record<string, Edit>>,
): Case[] {
	return Object.entries(changes).map(([what, edit]) => ({
		...{ what: `a placement with ${what}`, on: "desired" as const },
		payload: encodeMessage(edit(envelopeIn(newest))),
		...(slug !== undefined && { slug }),
	}));
}
