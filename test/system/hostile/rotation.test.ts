import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../../src/base/log.ts";
import { MqttSession } from "../../../src/control/client.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import type { KeysView } from "../../../src/headend/api/show.ts";
import { HEADEND } from "../../../src/headend/control/broker.ts";
import { ONLINE, type Signers } from "../../../src/headend/operator/keyring.ts";
import type { KeyView } from "../../../src/headend/operator/keyview.ts";
import { type Purpose, seal } from "../../../src/wire/envelope.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { downTopic, headTopic } from "../../../src/wire/topics.ts";
import {
	addBoxes,
	addViewer,
	counters,
	type Film,
	filled,
	heldOf,
	larder,
	logOf,
	openDesk,
	play,
	poll,
	publishFilm,
} from "../desk.ts";
import { openMember } from "../member.ts";

const SIZE = 3 * 1024 * 1024;

t.setTimeout(300_000);

t.test("every key is replaced while a film plays", async (t) => {
	const desk = await openDesk(t, { copies: 2 });
	const { dir } = desk.operator;
	const stick = join(desk.dir, "stick");
	const root = join(stick, "root.json");
	await mkdir(stick);
	for (const name of ["root.json", "release.json"])
		await rename(join(dir, "keys", name), join(stick, name));
	await desk.headend?.stop();
	await desk.startHeadend();
	t.pass("the headend does without the root");

	/** All that commands have said. */
	let said = "";
	const keys = async (...args: string[]) => {
		const did = await larder("keys", ...args, "-d", dir);
		said += did.said;
		return did;
	};
	const list = async (): Promise<{ keys: KeyView[]; headend: KeysView }> => {
		const { code, said: text } = await keys("list", "--json");
		if (code !== 0) throw new Error(text);
		return JSON.parse(text);
	};
	const film = await publishFilm(desk, SIZE);
	const boxes = await addBoxes(desk, 3);
	await filled(desk, film.shards * 2);
	// It keeps little of what it plays, so that it goes on asking its neighbours.
	const viewer = await addViewer(desk, film, { quota: "1 MiB" });
	const stolen = desk.operator.signers;
	const before = await stocks(desk, boxes, film);
	const secrets = await seedsIn(join(dir, "keys"), stick);

	let rotated = false;
	const playing = (async () => {
		for (let times = 0; ; times++) {
			const { mismatches } = await play(desk, viewer, film);
			if (mismatches > 0) throw new Error(`${mismatches} wrong bytes`);
			if (rotated) return times;
		}
	})();
	for (const purpose of ONLINE) {
		const { code, said } = await keys("rotate", purpose, "--root", root);
		t.equal(code, 0, said);
		t.match(said, "the headend has taken it up");
	}
	await desk.operator.keyring.reread();
	secrets.push(...(await seedsIn(join(dir, "keys"), stick)));
	await poll("all is signed anew, memberships too", async () => {
		const { old } = (await list()).headend;
		return ONLINE.every((purpose) => old[purpose] === 0);
	});
	for (const purpose of ONLINE) {
		const { code, said } = await keys("retire", purpose, "--root", root);
		t.equal(code, 0, said);
	}
	await t.test("who has an old key is not heard", (t) =>
		knock(t, desk, boxes[0], stolen),
	);
	await t.test("who has a paper of the old issuer is let in nowhere", (t) =>
		impersonate(t, desk, boxes[0], stolen),
	);
	const joined = await addViewer(desk, film);
	t.equal((await play(desk, joined, film)).mismatches, 0, "of the new issuer");
	rotated = true;
	t.ok((await playing) > 0, "the film played on");
	t.same(
		await stocks(desk, boxes, film),
		before,
		"nobody fetched or dropped anything",
	);

	await desk.headend?.stop();
	await desk.startHeadend();
	t.equal((await list()).headend.old.issuer, 0);
	t.equal(
		(await play(desk, viewer, film)).mismatches,
		0,
		"after a restart too",
	);
	for (const { state } of (await list()).keys.slice(0, 8))
		t.match(state, /in-use|retired/);

	await t.test("no key is in a log, an answer or a command line", async (t) => {
		const lines = await commandLines();
		t.ok(lines.includes(dir), "the headend's own is among them");
		const logs = join(desk.dir, "logs");
		let told = said + lines;
		for (const name of await readdir(logs))
			told += await readFile(join(logs, name), "utf8");
		for (const secret of secrets)
			for (const text of [
				secret,
				Buffer.from(secret, "hex").toString("base64"),
			])
				t.notOk(told.includes(text.replace(/=+$/, "")));
		t.equal(new Set(secrets).size, 2 + 4 + 4 + 1, "root, release, old, new…");
	});
});

t.test(
	"what a thief had boxes do is undone, and nobody visits them",
	async (t) => {
		const desk = await openDesk(t, { copies: 1 });
		const { dir, network, region } = desk.operator;
		const root = join(dir, "keys", "root.json");
		const film = await publishFilm(desk, SIZE);
		const [box] = await addBoxes(desk, 2);
		if (box?.process === undefined) throw new Error("no box");
		await filled(desk, film.shards);
		const { process } = box;
		const had = (await heldOf(box, film)).size;
		t.ok(had > 0);
		const { placement } = desk.operator.signers;
		const rev = Math.floor(Date.now() / 1000) + 3600;
		const mine = { network, region, box: box.id, epoch: 1, rev };
		const thief = await openThief(t, desk);
		const nothing = seal(placement, { ...mine, body: { titles: [] } });
		await thief.publish(downTopic(box.id, "desired"), nothing);
		await poll("the thief is obeyed", async () => {
			const { lastPlacement } = (await desk.statusOf(box)).control;
			return lastPlacement?.rev === rev;
		});
		for (const act of ["rotate", "retire"]) {
			const more = act === "retire" ? ["--force"] : [];
			const args = [act, "placement", "--root", root, "-d", dir, ...more];
			const { code, said } = await larder("keys", ...args);
			t.equal(code, 0, said);
			if (act === "rotate")
				await poll("until the old key is retired, it is in vain", async () =>
					(await logOf(process)).some(({ slug }) => slug === "rollback"),
				);
		}
		await poll("the operator is obeyed again", async () => {
			const { lastPlacement } = (await desk.statusOf(box)).control;
			return lastPlacement !== undefined && lastPlacement.rev < rev;
		});
		await filled(desk, film.shards);
		t.equal((await heldOf(box, film)).size, had);
		t.equal((await play(desk, box, film)).mismatches, 0);
	},
);

/** Somebody at the broker. */
async function openThief(t: Test, desk: Neighbourhood): Promise<MqttSession> {
	const session = new MqttSession({
		url: desk.brokerUrl,
		clientId: `${HEADEND}thief`,
		log: silent,
	});
	session.start();
	t.teardown(() => session.close());
	await poll("connected", async () => session.connected);
	return session;
}

/** What boxes hold, by file, and what they ever fetched. */
async function stocks(
	desk: Neighbourhood,
	boxes: readonly DeskBox[],
	film: Film,
) {
	return await Promise.all(
		boxes.map(async (box) => {
			const { fromNeighbours, fromOrigin } = await counters(desk, box);
			return { held: await heldOf(box, film), fromNeighbours, fromOrigin };
		}),
	);
}

/** The seeds of all keys in these folders, and the network's secret. */
async function seedsIn(...folders: readonly string[]): Promise<string[]> {
	const seeds: string[] = [];
	for (const folder of folders)
		for (const name of await readdir(folder)) {
			const text = await readFile(join(folder, name), "utf8");
			const seed = /"seed":\s*"([0-9a-f]{64})"/.exec(text)?.[1];
			if (seed !== undefined) seeds.push(seed);
		}
	return seeds;
}

/** The arguments of all processes of this machine. */
async function commandLines(): Promise<string> {
	let all = "";
	for (const name of await readdir("/proc")) {
		const path = `/proc/${name}/cmdline`;
		if (/^\d+$/.test(name) && existsSync(path))
			all += await readFile(path, "utf8").catch(() => "");
	}
	return all;
}

/** A box with a certificate that the thief of the issuer's old key made himself. */
async function impersonate(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox | undefined,
	signers: Signers,
): Promise<void> {
	if (box?.process === undefined) throw new Error("no box");
	const { process } = box;
	const { swarm } = await openMember(t, desk, "impostor", { signers });
	await poll("it is refused", async () => {
		swarm.dial([box.id]);
		const log = await logOf(process);
		return log.some(
			({ slug, detail }) =>
				slug === "retired-key" && `${detail}`.includes("for issuer"),
		);
	});
	t.equal(swarm.neighbours.size, 0);
}

/** Says what the old keys say to a box, over the broker; each is refused as a retired key's. */
async function knock(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox | undefined,
	old: Signers,
): Promise<void> {
	if (box?.process === undefined) throw new Error("no box");
	const { network, region } = desk.operator;
	const later = Date.now() + 3_600_000;
	const dated = { network, region, epoch: 1, version: later, issuedAt: later };
	const part = (purpose: "catalog" | "revoke", said: object) =>
		JSON.parse(`${seal(old[purpose], { ...dated, ...said })}`);
	const head = headTopic(region);
	const rev = Math.floor(later / 1000);
	const order = { kind: "report" };
	const mine = { network, region, box: box.id };
	const tries: [Purpose, topic: string, Buffer][] = [
		[
			"catalog",
			head,
			encodeMessage({
				announcement: part("catalog", {
					catalog: { key: "0".repeat(64), length: 0 },
					policy: { shareTransient: "never" },
				}),
			}),
		],
		[
			"revoke",
			head,
			encodeMessage({
				bans: part("revoke", { revoked: [box.id], purged: [] }),
			}),
		],
		[
			"placement",
			downTopic(box.id, "desired"),
			seal(old.placement, { ...mine, epoch: 1, rev, body: { titles: [] } }),
		],
		[
			"placement",
			downTopic(box.id, "command"),
			seal(old.placement, {
				...{ ...mine, id: "0".repeat(32), body: order },
				...{ issuedAt: Date.now(), expires: later },
			}),
		],
	];
	const session = await openThief(t, desk);
	const { process } = box;
	const refused = async () =>
		(await logOf(process)).filter(({ slug }) => slug === "retired-key");
	for (const [index, [purpose, topic, payload]] of tries.entries()) {
		await session.publish(topic, payload);
		await poll("it is refused", async () => (await refused()).length > index);
		const { detail } = (await refused()).at(-1) ?? {};
		t.match(detail, `for ${purpose} counts no more`);
	}
}
