import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { connectAsync } from "mqtt";
import t, { type Test } from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { seal } from "../../src/wire/envelope.ts";
import type { Head } from "../../src/wire/head.ts";
import type { Region } from "../../src/wire/ids.ts";
import { encodeMessage } from "../../src/wire/json.ts";
import type { Reported, Request, State } from "../../src/wire/reports.ts";
import {
	downTopic,
	headTopic,
	qualityTopic,
	upTopic,
} from "../../src/wire/topics.ts";
import { BROKERS, type TestBroker } from "./brokers.ts";
import { Happenings, newBox, newTitle, Operator, REGION } from "./operator.ts";
import { FAST, hear, levels, newFolder, openDesk, openRig } from "./rig.ts";

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url));

const refusal = (slug: string) => (it: Reported) =>
	it.phase === "refused" && it.code === slug;

const CASES: Readonly<
	Record<string, (t: Test, broker: TestBroker) => Promise<void>>
> = {
	async "birth, change and goodbye"(t, { url }) {
		const desk = await openDesk(t, url);
		const { box, control } = await openRig(t, url, new Operator());
		const birth = await hear(desk, box, "state");
		t.match(birth, {
			online: true,
			session: control.session,
			region: REGION,
			power: "active",
		});
		control.change({ reach: "none" });
		await hear(desk, box, "state", (it) => it.reach === "none");
		control.change({ power: "standby" });
		const standby = await hear(
			desk,
			box,
			"state",
			(it) => it.power !== "active",
		);
		t.match(standby, { online: true, since: birth.since });
		await control.close();
		const end = await hear(desk, box, "state", (it) => !it.online);
		t.match(end, { session: control.session, since: birth.since });
	},

	async "what was watched is told, and not by whom"(t, { url }) {
		const desk = await openDesk(t, url);
		const ear = await connectAsync(url, { clientId: "headend-ear" });
		t.teardown(() => ear.endAsync(true));
		const payloads = new Happenings<string>();
		ear.on("message", (_, payload) => payloads.add(payload.toString()));
		await ear.subscribeAsync(qualityTopic(REGION), { qos: 1 });
		const timing = { ...FAST, spread: 10 };
		const rig = await openRig(t, url, new Operator(), { timing });
		await rig.lines.until(() => rig.control.connected);
		const title = newTitle();
		const watched = {
			...{ title, starts: [420], played: 60_000, stalls: 1, stalled: 900 },
			...{ seeks: 2, switches: 3, bitrate: 4_000_000 },
			...{ disk: 5, neighbours: 6, origin: 7, misses: { "too-slow": 1 } },
		};
		rig.control.qualities.add(watched);
		await desk.qualities.until(() => desk.qualities.all.length === 1);
		t.match(desk.qualities.all, [{ watched: [watched] }]);
		await payloads.until(() => payloads.all.length === 1);
		for (const own of [rig.box, rig.control.session])
			t.notMatch(payloads.all.join(), own);
	},

	async "a killed box is seen to be gone; a late will is not believed"(
		t,
		{ url },
	) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const box = newBox();
		const rootKey = operator.root.publicKey.toString("hex");
		const child = spawn(
			process.execPath,
			[CHILD, url, box, rootKey, newFolder(t)],
			{ stdio: "inherit" },
		);
		t.teardown(() => child.kill("SIGKILL"));
		const birth = await hear(desk, box, "state");
		child.kill("SIGKILL");
		const end = await hear(desk, box, "state", (it) => !it.online);
		t.equal(end.session, birth.session);

		const next = await openRig(t, url, operator, { box });
		await hear(desk, box, "state", (it) => it.session === next.control.session);
		const raw = await connectAsync(url, { clientId: "headend-late" });
		const topic = upTopic(box, "state");
		const before = desk.said.all.length;
		await raw.publishAsync(topic, encodeMessage(end satisfies State), {
			qos: 1,
		});
		await desk.lines.until((line) => line.includes("late-will"));
		t.equal(desk.dispatch.dropped.get("late-will"), 1);
		t.equal(desk.said.all.length, before);
		await raw.endAsync();
	},

	async "a placement is accepted once, and never an older one"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const { box, control, placements } = await openRig(t, url, operator);
		const titles = [{ id: newTitle(), ranks: [{ rank: 0, shards: "0-3,7" }] }];
		const five = operator.placement(box, 1, 5, { titles });
		await desk.dispatch.desired(box, five);
		t.same(await placements.until(() => true), {
			...{ epoch: 1, rev: 5, titles },
			near: [],
		});
		t.match(await hear(desk, box, "reported"), {
			phase: "accepted",
			epoch: 1,
			rev: 5,
			session: control.session,
		});
		await desk.dispatch.desired(box, five);
		await desk.dispatch.desired(box, operator.placement(box, 1, 4));
		const refused = await hear(desk, box, "reported", refusal("rollback"));
		t.match(refused, { epoch: 1, rev: 5, detail: /epoch 1 rev 4/ });
		await desk.dispatch.desired(box, operator.placement(box, 2, 4));
		await desk.dispatch.desired(box, operator.placement(box, 2, 5));
		await placements.until(({ epoch }) => epoch === 2);
		t.equal(placements.all.length, 2, "the duplicate was ignored");
		t.equal(control.placement?.epoch, 2);
		t.equal(control.refusals.get("rollback"), 2);
	},

	async "what is not the operator's word to this box is refused"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const stranger = new Operator();
		const { box, control, placements, heads } = await openRig(t, url, operator);
		const { network } = operator.trust;
		const whole = { network, box, region: REGION, epoch: 1, rev: 1 };
		const body = { titles: [] };
		const forged = JSON.parse(operator.placement(box, 9, 9).toString());
		forged.payload = encodeMessage({ ...whole, rev: 8, body }).toString(
			"base64",
		);
		const lapsed = operator.signer("placement", Date.now() - 1);
		const bad: readonly [slug: string, payload: Buffer][] = [
			["wrong-box", operator.placement(newBox(), 1, 1)],
			["wrong-purpose", seal(operator.signer("catalog"), { ...whole, body })],
			["bad-signature", stranger.placement(box, 1, 1)],
			["bad-signature", encodeMessage(forged)],
			["expired", operator.placement(box, 1, 1, body, lapsed)],
			["not-json", Buffer.from("garbage")],
			["bad-schema", Buffer.from("{}")],
			[
				"bad-ref",
				operator.placement(box, 1, 1, {
					ref: "../../etc",
					sha256: "0".repeat(64),
					size: 9,
				}),
			],
		];
		for (const [slug, payload] of bad) {
			const from = desk.said.all.length;
			await desk.dispatch.desired(box, payload);
			await hear(desk, box, "reported", refusal(slug), from);
			t.pass(slug);
		}
		const from = desk.said.all.length;
		await desk.dispatch.head(
			REGION,
			operator.head(1, { region: "south" as Region }),
		);
		await hear(desk, box, "reported", refusal("wrong-region"), from);
		await t.rejects(desk.dispatch.desired(box, Buffer.alloc(4_194_305)), {
			code: "BROKER_FAILED",
		});
		t.same([placements.all, heads.all], [[], []]);
		t.equal(control.placement, undefined);
		t.equal(control.standing.announcement, undefined);
	},

	async "a placement of more than a megabyte"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const { box, placements } = await openRig(t, url, operator);
		const titles = Array.from({ length: 10_000 }, () => ({
			id: newTitle(),
			ranks: [{ rank: 0, shards: "0-299" }],
		}));
		const payload = operator.placement(box, 1, 1, { titles });
		t.ok(payload.byteLength > 1024 * 1024);
		await desk.dispatch.desired(box, payload);
		t.same((await placements.until(() => true)).titles, titles);
	},

	async "a placement by reference, tried for until the origin has it"(
		t,
		{ url },
	) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const titles = [{ id: newTitle(), ranks: [{ rank: 1, shards: "4" }] }];
		const near = ["ab".repeat(16)];
		const text = encodeMessage({ titles, near });
		const sha256 = createHash("sha256").update(text).digest("hex");
		const answers = [undefined, Buffer.from("{}"), text];
		const asked: [string, number][] = [];
		const folder = newFolder(t);
		const { box, placements } = await openRig(t, url, operator, {
			folder,
			fetchRef: async (path, limit) => {
				asked.push([path, limit]);
				const answer = answers.shift();
				if (answer === undefined) throw new Error("not there");
				return answer;
			},
		});
		const body = { ref: "placement/one", sha256, size: text.byteLength };
		await desk.dispatch.desired(box, operator.placement(box, 1, 1, body));
		await hear(desk, box, "reported", refusal("ref-unavailable"));
		const said = { epoch: 1, rev: 1, titles, near };
		t.same(await placements.until(() => true), said);
		t.ok(
			desk.said.all.some(({ it }) => "code" in it && it.code === "wrong-hash"),
		);
		t.same(asked, Array(3).fill([body.ref, body.size]));
		const again = await openRig(t, "mqtt://127.0.0.1:9", operator, {
			box,
			folder,
		});
		t.same(again.control.placement, said, "kept on disk");
	},

	async "heads rise, whoever brings them"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const { box, control, heads } = await openRig(t, url, operator);
		await desk.dispatch.head(REGION, operator.head(2));
		await heads.until(({ announcement }) => announcement?.version === 2);
		const slugs = (head: Head) =>
			control.offerHead(head).refused.map(({ slug }) => slug);
		t.same(slugs(operator.parts(1)), ["rollback", "rollback"]);
		t.same(control.offerHead(operator.parts(2)), { news: false, refused: [] });
		const three = operator.parts(3);
		t.same(control.offerHead(three), { news: true, refused: [] });
		t.equal(
			heads.all.at(-1)?.announcement?.version,
			3,
			"told in the same turn",
		);
		t.equal(control.standing.announcement?.version, 3);
		t.same(control.head, three);
		t.same(slugs(new Operator().parts(9)), ["bad-signature", "bad-signature"]);
		await desk.dispatch.head(REGION, operator.head(2));
		await hear(desk, box, "reported", refusal("rollback"));
		t.equal(control.standing.announcement?.version, 3);
	},

	async "a neighbour's forgery is counted and told, seldom"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const { box, control, lines } = await openRig(t, url, operator);
		await hear(desk, box, "state");
		control.offerHead(operator.parts(2));
		control.offerHead(operator.parts(1));
		t.equal(control.refusals.size, 0, "it was away: that is no forgery");
		const forged = new Operator().parts(9);
		for (let i = 0; i < 50; i++) control.offerHead(forged);
		t.equal(control.refusals.get("bad-signature"), 100);
		const told = lines.all.filter((line) => line.startsWith("message refused"));
		t.equal(told.length, 10);
		t.match(told[0], /bad-signature.*neighbour:/);
		await hear(desk, box, "reported", refusal("bad-signature"));
		control.report({ epoch: 1, rev: 1, phase: "applied" });
		await hear(desk, box, "reported", (it) => it.phase === "applied");
		const reports = desk.said.all.filter(({ is }) => is === "reported");
		t.ok(reports.length <= 11, `${reports.length} reports`);

		await t.test("the broker's are told all the same", async (t) => {
			await desk.dispatch.head(REGION, encodeMessage(forged));
			await lines.until((line) => line.includes('"detail":"head:'));
			t.equal(control.refusals.get("bad-signature"), 102);
		});
	},

	async "title keys: one question for all who ask, answered, denied or not"(
		t,
		{ url },
	) {
		const operator = new Operator();
		const [given, denied, ignored] = [newTitle(), newTitle(), newTitle()];
		const sent: Buffer[] = [];
		const desk = await openDesk(t, url, async (box, asked: Request) => {
			if (asked.kind !== "key") return;
			const { id, title } = asked;
			const answer = { request: id, title };
			const body =
				title === given
					? { kind: "key" as const, ...answer, sealed: "c2VjcmV0", until: 1 }
					: title === denied
						? { kind: "key-denied" as const, ...answer, reason: "no contract" }
						: { kind: "key-undecided" as const, ...answer, reason: "busy" };
			if (title === ignored) return;
			const command = operator.command(box, body);
			sent.push(command);
			await desk.dispatch.command(box, command, 5000);
		});
		const { box, control } = await openRig(t, url, operator, {
			timing: { ...FAST, keyPatience: 2000 },
		});
		await hear(desk, box, "state");
		const forever = new AbortController();
		const ask = (title = given, { signal } = forever) =>
			control.key(title, signal);
		const [one, two] = await Promise.all([ask(), ask()]);
		t.same([one, two], [sent[0], sent[0]], "as it was signed");
		t.equal(desk.said.all.filter(({ is }) => is === "request").length, 1);
		await t.rejects(ask(denied), {
			code: "TITLE_KEY_DENIED",
			message: "no contract",
		});
		await t.rejects(ask(newTitle()), {
			code: "TITLE_KEY_UNAVAILABLE",
			message: "busy",
		});
		const aborted = new AbortController();
		const left = ask(ignored, aborted);
		const stayed = ask(ignored);
		aborted.abort(new Error("the player left"));
		await t.rejects(left, { message: "the player left" });
		await t.rejects(stayed, { code: "TITLE_KEY_UNAVAILABLE" });
	},

	async "the time that was said once is not the time after a restart"(
		t,
		{ url },
	) {
		const operator = new Operator();
		const issuer = operator.signer("issuer");
		const { network } = operator.trust;
		const sent: Buffer[] = [];
		const desk = await openDesk(t, url, async (box, { id: nonce, kind }) => {
			if (kind !== "time") return;
			const said = { network, box, nonce, at: Date.now() };
			const statement = JSON.parse(`${seal(issuer, said)}`);
			sent.push(operator.command(box, { kind: "issuance", statement }));
			// What was said before comes first.
			for (const command of sent)
				await desk.dispatch.command(box, command, 5000);
		});
		const folder = newFolder(t);
		const { box, control } = await openRig(t, url, operator, { folder });
		await hear(desk, box, "state");
		const first = await control.ask("time");
		await control.close();
		const next = await openRig(t, url, operator, { box, folder });
		const { session } = next.control;
		await hear(desk, box, "state", (it) => it.session === session);
		const second = await next.control.ask("time");
		t.not(second.said.nonce, first.said.nonce);
		t.ok(second.said.at > first.said.at);
		await next.lines.until((line) => line.includes("nobody waits for"));
		t.equal(sent.length, 2);
	},

	async "commands: once, in time, and answered"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const { box, control, orders } = await openRig(t, url, operator);
		await hear(desk, box, "state");
		control.fill(levels(500));
		await hear(desk, box, "fill");
		const send = (envelope: Buffer) =>
			desk.dispatch.command(box, envelope, 60_000);
		const warn = operator.command(box, { kind: "log-level", level: "warn" });
		await send(warn);
		await send(warn);
		await hear(desk, box, "reported", refusal("repeated"));
		await send(
			operator.command(box, { kind: "log-level", level: "debug" }, -1),
		);
		await hear(desk, box, "reported", refusal("expired"));
		await send(operator.command(newBox(), { kind: "report" }));
		await hear(desk, box, "reported", refusal("wrong-box"));
		const from = desk.said.all.length;
		await send(operator.command(box, { kind: "report" }));
		t.match(await hear(desk, box, "response", () => true, from), { ok: true });
		await hear(desk, box, "fill", () => true, from);
		t.match(orders.all, [
			{ kind: "log-level", level: "warn" },
			{ kind: "report" },
		]);
	},

	async "who has the broker does not fill the log"(t, { url }) {
		const desk = await openDesk(t, url);
		const operator = new Operator();
		const { box, control, lines } = await openRig(t, url, operator);
		await hear(desk, box, "state");
		for (let i = 0; i < 50; i++)
			await desk.dispatch.desired(box, Buffer.from(`{${i}`));
		await desk.dispatch.desired(box, operator.placement(box, 1, 1));
		await hear(desk, box, "reported", (it) => it.phase === "accepted");
		t.equal(control.refusals.get("not-json"), 50);
		const told = lines.all.filter((line) => line.startsWith("message refused"));
		t.equal(told.length, 10);
	},

	async "the broker goes and comes back having forgotten everything"(
		t,
		broker,
	) {
		const desk = await openDesk(t, broker.url);
		const operator = new Operator();
		// Back only when woken: what is not retained has to find the headend listening.
		const timing = { ...FAST, base: 1e9, cap: 1e9 };
		const began = Date.now();
		const rig = await openRig(t, broker.url, operator, { timing });
		const { box, control } = rig;
		const birth = await hear(desk, box, "state");
		const placed = operator.placement(box, 1, 1);
		desk.retained.set(downTopic(box, "desired"), placed);
		desk.retained.set(headTopic(REGION), operator.head(4));
		await desk.dispatch.desired(box, placed);
		await hear(desk, box, "reported");
		control.fill(levels(100));
		await hear(desk, box, "fill");

		const up = control.since;
		const stopped = Date.now();
		t.ok(up >= began && up <= stopped, "since it was connected");
		await broker.stop();
		await rig.lines.until((line) => line.startsWith("broker lost"));
		t.equal(control.connected, false);
		t.ok(control.since >= stopped, "since it was lost");
		for (let used = 200; used <= 900; used += 50) control.fill(levels(used));
		for (let rev = 2; rev <= 50; rev++)
			control.report({ epoch: 1, rev, phase: "applied" });
		await t.rejects(
			desk.dispatch.command(box, operator.command(box, { kind: "report" }), 1),
			{ code: "BROKER_FAILED" },
		);
		const from = desk.said.all.length;
		await broker.start();
		await desk.lines.until(() => desk.dispatch.connected);
		control.change({ power: "active" });
		const again = await hear(desk, box, "state", (it) => it.online, from);
		t.equal(again.session, birth.session);
		t.ok(again.since > birth.since);
		t.match(await hear(desk, box, "reported", () => true, from), { rev: 50 });
		t.match(await hear(desk, box, "fill", () => true, from), {
			usedSpace: 900,
		});
		await rig.heads.until(({ announcement }) => announcement?.version === 4);
		const later = await openRig(t, broker.url, operator, { box: newBox() });
		await later.heads.until(({ announcement }) => announcement?.version === 4);
		t.equal(rig.placements.all.length, 1);
	},

	async "a refusal at the door does not end the trying"(t, broker) {
		await broker.stop();
		await broker.start(true);
		const { control, lines } = await openRig(t, broker.url, new Operator());
		const refused = (line: string) =>
			line.startsWith("broker not reached") && /refused/i.test(line);
		for (let seen = 0; seen < 4; seen++) {
			const line = await lines.until(
				refused,
				lines.all.findLastIndex(refused) + 1,
			);
			t.match(line, /refused/i);
		}
		t.match(control.trouble, /refused/i);
		await broker.stop();
		await broker.start();
		await lines.until((line) => line.startsWith("broker connected"));
		t.equal(control.connected, true);
		t.equal(control.trouble, undefined);
	},
};

for (const [name, make] of Object.entries(BROKERS))
	t.test(name, async (t) => {
		for (const [title, run] of Object.entries(CASES))
			t.test(title, async (t) => {
				const broker = await make();
				await broker.start();
				t.teardown(() => broker.stop());
				await run(t, broker);
			});
	});

t.test("a box that starts without a broker", async (t) => {
	const broker = await BROKERS["embedded, MQTT 3.1.1"]!();
	await broker.start();
	const operator = new Operator();
	const desk = await openDesk(t, broker.url);
	const folder = newFolder(t);
	const first = await openRig(t, broker.url, operator, { folder });
	const { box } = first;
	await desk.dispatch.desired(box, operator.placement(box, 3, 7));
	await desk.dispatch.head(REGION, operator.head(4));
	await first.placements.until(() => true);
	await first.heads.until(() => true);
	await first.control.close();
	await broker.stop();

	// A clock that stands at 1970 and keys that are years past their end must not cost a box what it knows.
	for (const now of [0, Date.now() + 1e12]) {
		const trust = { ...operator.trust, now: () => now };
		const { control } = await openRig(t, broker.url, operator, {
			box,
			folder,
			trust,
		});
		t.match(control.placement, { epoch: 3, rev: 7 });
		t.equal(control.standing.announcement?.version, 4);
		await control.close();
	}
	const other = await openRig(t, broker.url, new Operator(), { box, folder });
	t.same(
		[other.control.placement, other.control.standing.announcement],
		[undefined, undefined],
		"not the word of this operator",
	);
	await other.control.close();

	await broker.start();
	t.teardown(() => broker.stop());
	const next = await openRig(t, broker.url, operator, { box, folder });
	await hear(desk, box, "state", (it) => it.session === next.control.session);
	await desk.lines.until(() => desk.dispatch.connected);
	await desk.dispatch.desired(box, operator.placement(box, 3, 6));
	await hear(desk, box, "reported", refusal("rollback"));
	t.match(next.control.placement, { epoch: 3, rev: 7 });
	t.same(next.placements.all, []);
});

t.test("closing while no broker answers", async (t) => {
	const { control } = await openRig(t, "mqtt://127.0.0.1:9", new Operator());
	const signal = new AbortController().signal;
	const asked = control.key(newTitle(), signal);
	await Promise.all([
		t.rejects(asked, LarderError),
		t.resolves(control.close()),
	]);
});
