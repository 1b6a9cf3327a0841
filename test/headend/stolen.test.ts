import { join } from "node:path";
import t, { type Test } from "tap";
import { Wishes } from "../../src/agent/wishes.ts";
import { silent } from "../../src/base/log.ts";
import { DAY, HOUR } from "../../src/base/time.ts";
import { Inbox } from "../../src/control/inbox.ts";
import { PURGES_A_DAY } from "../../src/control/purges.ts";
import { KeyRequests } from "../../src/control/requests.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { readRoot } from "../../src/headend/operator/keyfile.ts";
import {
	ONLINE,
	type OnlinePurpose,
} from "../../src/headend/operator/keyring.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { retireKeys, rotateKey } from "../../src/headend/operator/rotate.ts";
import { type Command, command } from "../../src/wire/command.ts";
import { issuance } from "../../src/wire/enrol.ts";
import {
	grantKey,
	type Purpose,
	type Signer,
	seal,
	trustIn,
	unseal,
	unsealParsed,
} from "../../src/wire/envelope.ts";
import type { Announcement, Bans } from "../../src/wire/head.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { encodeMessage } from "../../src/wire/json.ts";
import { signMandate } from "../../src/wire/mandate.ts";
import { certificate } from "../../src/wire/membership.ts";
import { holderTable, type Placement } from "../../src/wire/placement.ts";
import { downTopic, headTopic } from "../../src/wire/topics.ts";
import { newBox, newTitle } from "../control/operator.ts";
import { newFolder } from "../control/rig.ts";
import { region } from "./fixture.ts";

/** What somebody with a key may want of a box, and the purpose that it takes. `ahead` is by how much it claims to be newer. */
interface Deed {
	readonly what: string;
	readonly takes: Purpose | "root";
	readonly send: (by: Signer, to: Target, ahead?: number) => Promise<string>;
}

/** A box of a real operator, as far as it judges what comes. */
async function open(t: Test) {
	const dir = join(t.testdir(), "operator");
	const operator = await initOperator(dir, { region });
	const box = newBox();
	const trust = trustIn(operator.rootKey, Date.now);
	const slugs: string[] = [];
	const commands: Command[] = [];
	const inbox = new Inbox({
		...{ box, region, trust },
		folder: newFolder(t),
		ran: Date.now,
		fetchRef: () => Promise.reject(new Error("nothing is fetched")),
		events: {
			placement: () => undefined,
			head: () => undefined,
			command: (it) => commands.push(it),
			refused: ({ slug }) => slugs.push(slug),
		},
		log: silent,
	});
	t.teardown(() => inbox.close());
	/** What the box says to it: a slug, or that it is taken. */
	const send = async (topic: string, bytes: Buffer) => {
		const before = slugs.length;
		await inbox.receive(topic, bytes);
		return slugs.slice(before).join() || "taken";
	};
	const root = join(dir, "keys/root.json");
	const heads = await HeadWriter.open(operator, silent);
	return { operator, box, trust, inbox, commands, send, root, heads };
}
type Target = Awaited<ReturnType<typeof open>>;

const dated = ({ operator }: Target, ahead: number) => ({
	network: operator.network,
	region,
	epoch: 1,
	version: Date.now() + ahead,
	issuedAt: Date.now() + ahead,
});
const part = (by: Signer, said: unknown) => JSON.parse(`${seal(by, said)}`);
const sendHead = ({ send }: Target, head: object) =>
	send(headTopic(region), encodeMessage(head));

function announce(by: Signer, to: Target, ahead = 0): Promise<string> {
	const said = {
		...dated(to, ahead),
		catalog: { key: "e".repeat(64), length: 666 },
		policy: { shareTransient: "never" },
	} satisfies Announcement;
	return sendHead(to, { announcement: part(by, said) });
}

function ban(
	by: Signer,
	to: Target,
	ahead = 0,
	revoked: BoxId[] = [],
	titles: TitleId[] = [],
): Promise<string> {
	const day = dated(to, ahead);
	const purged = titles.map((title) => ({ title, at: day.version }));
	const said = { ...day, revoked, purged } satisfies Bans;
	return sendHead(to, { bans: part(by, said) });
}

function place(
	by: Signer,
	{ operator, box, send }: Target,
	ahead = 0,
	titles: TitleId[] = [],
): Promise<string> {
	const { network } = operator;
	const rev = Math.floor((Date.now() + ahead) / 1000);
	const body = { titles: titles.map((id) => ({ id, ranks: [] })) };
	const said: Placement = { network, box, region, epoch: 1, rev, body };
	return send(downTopic(box, "desired"), seal(by, said));
}

function order(
	by: Signer,
	{ operator, box, send }: Target,
	body: Command["body"] = { kind: "report" },
): Promise<string> {
	const { network } = operator;
	const id = newBox().slice(0, 32);
	const issuedAt = Date.now();
	const said = { network, box, id, issuedAt, expires: issuedAt + HOUR, body };
	return send(downTopic(box, "command"), seal(by, said satisfies Command));
}

async function admit(by: Signer, { operator, trust }: Target): Promise<string> {
	const said = {
		network: operator.network,
		region,
		box: newBox(),
		role: "box",
		serial: "thief",
		notBefore: 0,
		notAfter: Date.now() + 900 * DAY,
	};
	const read = unseal(seal(by, said), "issuer", certificate, trust);
	return read.ok ? "taken" : read.reason;
}

async function point(by: Signer, { operator, trust }: Target): Promise<string> {
	const said = {
		network: operator.network,
		region,
		title: newTitle(),
		epoch: 1,
		version: 1,
		boxes: [newBox()],
		shards: [[0]],
	};
	const read = unseal(seal(by, said), "placement", holderTable, trust);
	return read.ok ? "taken" : read.reason;
}

const DEEDS: readonly Deed[] = [
	{ what: "let a key in", takes: "issuer", send: admit },
	{ what: "announce a catalog", takes: "catalog", send: announce },
	{ what: "place", takes: "placement", send: place },
	{ what: "point at holders", takes: "placement", send: point },
	{ what: "command", takes: "placement", send: (by, to) => order(by, to) },
	{
		what: "shut a box out",
		takes: "revoke",
		send: (by, to) => ban(by, to, 0, [newBox()]),
	},
	{
		what: "take a title back",
		takes: "revoke",
		send: (by, to) => ban(by, to, 0, [], [newTitle()]),
	},
	{
		what: "retire a key, vouch for purges",
		takes: "root",
		send: (by, to) =>
			sendHead(to, {
				mandate: {
					// Of this network, but for the hand that signed it.
					...signMandate(by.pair, { version: 9, minimum: {}, purged: [] }),
				},
			}),
	},
	{
		what: "grant itself another purpose",
		takes: "root",
		send: (by, to) => {
			const key = by.pair.publicKey.toString("hex");
			const until = Date.now() + DAY;
			const own = { key, serial: 9, notBefore: 0, notAfter: until };
			const grant = grantKey(by.pair, { ...own, purpose: "revoke" });
			return ban({ purpose: "revoke", pair: by.pair, grant }, to);
		},
	},
];

t.test("each stolen key does what its purpose allows", async (t) => {
	for (const stolen of ONLINE) {
		await t.test(stolen, async (t) => {
			for (const { what, takes, send } of DEEDS) {
				const to = await open(t);
				const by = to.operator.signers[stolen];
				const root = takes === "root";
				const no = root ? "bad-signature" : "wrong-purpose";
				t.equal(await send(by, to), takes === stolen ? "taken" : no, what);
				if (takes === stolen || root) continue;
				const liar = { ...by, purpose: takes };
				t.equal(await send(liar, to), no, `${what}, saying that it may`);
			}
		});
	}
});

t.test(
	"who has the root does all that boxes of its network obey",
	async (t) => {
		const elsewhere = await open(t);
		for (const { what, takes, send } of DEEDS) {
			const to = await open(t);
			const pair = await readRoot(to.root, to.operator.rootKey);
			const dates = { serial: 9, notBefore: 0, notAfter: Date.now() + DAY };
			const key = pair.publicKey.toString("hex");
			const purpose = takes === "root" ? "revoke" : takes;
			const grant = grantKey(pair, { ...dates, purpose, key });
			const by = { purpose, pair, grant };
			t.equal(await send(by, to), "taken", what);
			t.equal(await send(by, elsewhere), "bad-signature", `${what} elsewhere`);
		}
	},
);

t.test("what a thief of `placement` can command", async (t) => {
	/** Every kind there is: whoever adds one says here what a thief can do with it. */
	const kinds: Record<Command["body"]["kind"], string> = {
		key: "answers only what this box asked, and a wrong key opens nothing",
		"key-denied": "answers only what this box asked: it can refuse, not give",
		"key-undecided":
			"answers only what this box asked: the viewer is told to try again",
		"key-revoked": "the box forgets a key and asks for it again: a film stops",
		issuance:
			"carries the issuer's word, which takes the issuer's key: not even the time can be set",
		renew: "the box asks for what it has, and gets it from the issuer alone",
		update:
			"carries the word of the key for releases, which no headend has: older, refused and foreign ones are refused",
		report: "nothing that is not said anyway",
		support:
			"the box tells the headend how it stands, every ten seconds at most, without titles, keys and tokens",
		attested:
			"the box thinks that its word on a purge was heard and stops repeating it: nothing on the box changes",
		"log-level": "more lines in the box's own log, without titles",
	};
	const listed = command.def.shape.body.def.options.map(
		(option) => option.def.shape.kind.def.values[0],
	);
	t.same(new Set(listed), new Set(Object.keys(kinds)));
	const to = await open(t);
	const title = newTitle();
	const request = "0".repeat(32);
	const sealed = Buffer.alloc(80).toString("base64");
	const by = to.operator.signers.placement;
	const until = Date.now() + DAY;
	await order(by, to, { kind: "key", request, title, sealed, until });
	await order(by, to, { kind: "key-denied", request, title, reason: "thief" });
	const asked: string[] = [];
	const requests = new KeyRequests((id) => asked.push(id));
	const answer = requests.ask(title, new AbortController().signal);
	answer.catch(() => undefined);
	for (const { body } of to.commands)
		if (body.kind === "key" || body.kind === "key-denied")
			t.notOk(
				requests.settle(body, Buffer.alloc(0)),
				`${body.kind} that nobody asked for`,
			);
	t.notSame(asked, [request]);
	const { network } = to.operator;
	const now = Date.now() + DAY;
	const nonce = "0".repeat(32);
	const word = { network, box: to.box, nonce, at: now };
	const statement = part(by, word);
	await order(by, to, { kind: "issuance", statement });
	const { body } = to.commands.at(-1) ?? {};
	const heard = body?.kind === "issuance" && body.statement;
	const { trust } = to;
	t.match(heard && unsealParsed(heard, "issuer", issuance, trust), {
		ok: false,
		reason: "wrong-purpose",
	});
	requests.close();
	await t.rejects(answer, { code: "TITLE_KEY_UNAVAILABLE" });
});

t.test(
	"a new key, the old one retired: what a thief did is undone",
	async (t) => {
		/** Has the operator say what it says, by whatever key it has; the box hears it. */
		const speak = async (to: Target, content: Partial<Bans> = {}) => {
			const { operator, heads } = to;
			const { revoked = [], purged = [] } = content;
			await heads.write({
				announcement: {
					catalog: { key: "a".repeat(64), length: 1 },
					policy: { shareTransient: "now" },
				},
				bans: { revoked, purged },
			});
			const said = await sendHead(to, heads.head ?? {});
			return [said, await place(operator.signers.placement, to, 0, [film])];
		};
		const replace = async (
			{ operator, root }: Target,
			purpose: OnlinePurpose,
		) => {
			await rotateKey(operator, purpose, root);
			const sure = { force: true, countOld: async () => 0 };
			await retireKeys(operator, purpose, root, sure);
			await operator.keyring.reread();
		};
		const film = newTitle();
		const AHEAD = 12 * HOUR;
		const thieves: Record<
			OnlinePurpose,
			{
				readonly steal: (by: Signer, to: Target) => Promise<void>;
				/** What the operator cannot say any more until then. */
				readonly blocked: readonly string[];
				readonly again: Deed["send"];
			}
		> = {
			issuer: {
				steal: async (by, to) => void t.equal(await admit(by, to), "taken"),
				blocked: ["taken", "taken"],
				again: admit,
			},
			catalog: {
				steal: async (by, to) => {
					t.equal(await announce(by, to, AHEAD), "taken");
					t.equal(to.inbox.standing.announcement?.catalog.length, 666);
				},
				blocked: ["rollback", "taken"],
				again: announce,
			},
			placement: {
				steal: async (by, to) => {
					t.equal(await place(by, to, AHEAD), "taken");
					t.same(to.inbox.placement?.titles, []);
				},
				blocked: ["taken", "rollback"],
				again: place,
			},
			revoke: {
				steal: async (by, to) => {
					const many = Array.from({ length: PURGES_A_DAY + 5 }, newTitle);
					const said = await ban(by, to, AHEAD, [to.box, newBox()], many);
					t.equal(said, "too-many-purges");
					const { purged, revoked } = to.inbox.standing;
					t.equal(purged.size, PURGES_A_DAY);
					t.equal(revoked.size, 2);
					const wishes = new Wishes(Date.now);
					wishes.begin(idle, to.inbox);
					for (const title of many)
						t.notOk(wishes.mayRemove(title), "nothing is unlinked");
				},
				blocked: ["rollback", "taken"],
				again: ban,
			},
		};
		for (const stolen of ONLINE) {
			await t.test(stolen, async (t) => {
				const to = await open(t);
				t.same(await speak(to), ["taken", "taken"]);
				const honest = to.inbox.standing;
				const { steal, blocked, again } = thieves[stolen];
				const key = to.operator.signers[stolen];
				await steal(key, to);
				// Somebody is shut out and a title taken back while the thief has the floor.
				const said = {
					revoked: [newBox()],
					purged: [{ title: newTitle(), at: Date.now() }],
				};
				t.same(await speak(to, said), blocked, "the operator is not heard");
				await replace(to, stolen);
				t.same(await speak(to, said), ["taken", "taken"]);
				const { announcement, revoked, purged } = to.inbox.standing;
				t.same(announcement?.catalog, honest.announcement?.catalog);
				t.same([...revoked], said.revoked);
				t.same([...purged.keys()], [said.purged[0]?.title]);
				t.match(to.inbox.placement?.titles, [{ id: film }]);
				t.equal(await again(key, to), "retired-key");
				t.equal(await again(key, to, AHEAD), "retired-key");
			});
		}
	},
);

/** The parts of a box, none of which does anything. */
const idle: Parameters<Wishes["begin"]>[0] = {
	catalog: { follow: async () => undefined },
	trunk: { rate: 0 },
	swarm: {
		headChanged: () => undefined,
		retell: () => undefined,
		renewed: () => undefined,
	},
	reporter: { accepted: () => undefined },
	reconciler: { place: () => undefined, purge: () => undefined },
	household: { replaced: () => undefined },
	intake: { reconsider: () => undefined },
	library: { shut: () => undefined },
	keys: { forget: async () => undefined },
	lease: { renew: async () => undefined, look: () => undefined },
	updater: { order: async () => undefined },
	attests: { look: async () => undefined, acknowledged: async () => undefined },
	log: silent,
};
