// Online keys that are stolen, one after the other, in a neighbourhood as an operator would run it; a film plays all the while.
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { connect, type IClientOptions } from "mqtt";
import t, { type Test } from "tap";
import { DAY, HOUR } from "../../../src/base/time.ts";
import type {
	DeskBox,
	Neighbourhood,
} from "../../../src/desk/neighbourhood.ts";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import type { KeysView } from "../../../src/headend/api/show.ts";
import { issuedPath } from "../../../src/headend/operator/issue.ts";
import type { OnlinePurpose } from "../../../src/headend/operator/keyring.ts";
import { certifyClient } from "../../../src/headend/tls/authority.ts";
import { readPapers } from "../../../src/headend/tls/keys.ts";
import { headendNames } from "../../../src/headend/tls/mosquitto.ts";
import { openCatalogWriter } from "../../../src/logs/writer.ts";
import { seal } from "../../../src/wire/envelope.ts";
import type { Head } from "../../../src/wire/head.ts";
import type { BoxId, TitleId } from "../../../src/wire/ids.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { generateKeyPair, privateKeyPem } from "../../../src/wire/keys.ts";
import { downTopic, headTopic, upTopic } from "../../../src/wire/topics.ts";
import { newTitle } from "../../control/operator.ts";
import {
	addBoxes,
	addViewer,
	type Film,
	filled,
	heldOf,
	logOf,
	poll,
	publishFilm,
} from "../desk.ts";
import { openMember } from "../member.ts";
import { openSecureDesk, order } from "./secure.ts";

const MB = 1e6;
/** A film that lasts longer than the test. */
const LONG = { size: 24 * MB, down: "128 KiB/s" };

t.setTimeout(300_000);

t.test("stolen keys, each in turn, while a film plays", async (t) => {
	const { desk, operator, main } = await openSecureDesk(t, 2, ["SN-1"]);
	const { dir, network, region, signers: stolen } = operator;
	const at = ["-d", dir];
	const film = await publishFilm(desk, LONG.size);
	const other = await publishFilm(desk, MB, "other");
	const boxes = await addBoxes(desk, 3);
	const [one, two, three] = boxes as [DeskBox, DeskBox, DeskBox];
	await filled(desk, (film.shards + other.shards) * 2);
	const viewer = await addViewer(desk, film, { down: LONG.down });
	const player = await startPlayer(t, desk, viewer, film);

	/** What a thief says with a key, as the part of a head that it claims to be. */
	const part = (by: OnlinePurpose, claim: OnlinePurpose, said: object) => {
		const ahead = Date.now() + 12 * HOUR;
		const dated = { version: ahead, issuedAt: ahead, epoch: 1 };
		const signer = { ...stolen[by], purpose: claim };
		return JSON.parse(
			`${seal(signer, { network, region, ...dated, ...said })}`,
		);
	};
	const thiefs = newTitle();
	const log = await openCatalogWriter(join(desk.dir, "thief-catalog"), {
		epoch: 1,
	});
	t.teardown(() => log.close());
	await log.put({
		...{ id: thiefs, kind: "title", assetId: "thief", version: 1 },
		...{ name: "The thief's", duration: 60, size: 1 },
	});
	const announced = () => ({
		catalog: { key: log.key, length: log.length },
		policy: { shareTransient: "now" },
	});
	const banned = () => ({
		revoked: [one.id, two.id],
		purged: [{ title: other.id, at: Date.now() }],
	});
	let word: Head | undefined;
	// A box that was stolen, too: boxes believe it to be one of them.
	const thief = await openMember(t, desk, "thief", {
		get head() {
			return word;
		},
		onMember: (stream) => log.replicate(stream),
	});
	await poll("it is among them", async () => {
		thief.swarm.dial(boxes.map(({ id }) => id));
		return boxes.every(({ id }) => thief.swarm.neighbours.has(id));
	});
	const say = (head: Head) => {
		word = head;
		thief.swarm.headChanged();
	};
	/** Resolves when a box has refused so, after so many lines of its log. */
	const refused = (slug: string, from: number, what: RegExp) =>
		poll(`${slug}: ${what}`, async () =>
			(await logOf(three.process!))
				.slice(from)
				.some(
					(line) => line["slug"] === slug && what.test(`${line["detail"]}`),
				),
		);
	const lines = async () => (await logOf(three.process!)).length;
	const keys = async (): Promise<KeysView> =>
		JSON.parse(await order(t, "keys", "list", "--json", ...at)).headend;
	const rotate = (key: string) => order(t, "keys", "rotate", key, ...at);
	const retire = (key: string) => order(t, "keys", "retire", key, ...at);
	const linked = async () => {
		const { neighbours } = (await desk.statusOf(two)).swarm;
		return neighbours.some(({ box }) => box === one.id);
	};
	const lists = (id: TitleId) => isListed(desk, three, id);

	await t.test("revoke", async (t) => {
		let from = await lines();
		say({ announcement: part("revoke", "catalog", announced()) });
		await refused("wrong-purpose", from, /granted for revoke/);
		t.pass("it announces nothing");
		const held = await heldOf(three, other);
		t.ok(await linked());

		desk.headend?.freeze(true);
		const forged = part("revoke", "revoke", banned());
		say({ bans: forged });
		await poll("it shuts boxes out", async () => !(await linked()));
		await poll("it takes titles back", async () => !(await lists(other.id)));
		t.same(await heldOf(three, other), held, "and has nothing deleted");

		desk.headend?.freeze(false);
		await poll("titles are given back", () => lists(other.id));
		await poll("boxes come back, and nobody visits them", linked);
		t.match(
			await order(t, "keys", "list", ...at),
			"somebody else signs with revoke key",
			"once the headend hears him",
		);
		const headend = await HeadendClient.open(dir);
		const listed = await headend.boxes();
		t.notOk(
			listed.some(({ revoked }) => revoked),
			"it believes nothing of his",
		);
		await rotate("revoke");
		await retire("revoke");
		t.equal((await keys()).forgery, null, "the alarm is over");
		from = await lines();
		say({ bans: part("revoke", "revoke", banned()) });
		await refused("retired-key", from, /for revoke/);
		t.ok(await lists(other.id));
		await player.playsOn();
	});

	await t.test("catalog", async (t) => {
		let from = await lines();
		say({ bans: part("catalog", "revoke", banned()) });
		await refused("wrong-purpose", from, /granted for catalog/);
		t.pass("it shuts nobody out");
		say({ announcement: part("catalog", "catalog", announced()) });
		await poll("it shows another list", () => lists(thiefs));
		t.notOk(await lists(film.id));
		const entry = `${desk.gatewayOf(three)}/titles/${thiefs}`;
		t.notOk((await fetch(entry)).ok, "of titles that nobody can play");
		await player.playsOn();

		await rotate("catalog");
		await retire("catalog");
		await poll("the operator's list is back", () => lists(film.id));
		t.notOk(await lists(thiefs));
		from = await lines();
		say({ announcement: part("catalog", "catalog", announced()) });
		await refused("retired-key", from, /for catalog/);
		await player.playsOn();
	});

	await t.test("issuer", async (t) => {
		const { authority, ca } = await readPapers(operator);
		/** A connection to the broker by a certificate of the thief's. */
		const enter = async (name: string, pair = generateKeyPair()) => {
			const { publicKey } = pair;
			const dates = { notBefore: Date.now() - DAY, notAfter: Date.now() + DAY };
			const cert = await certifyClient(authority, {
				...{ name, publicKey, ...dates },
			});
			const key = privateKeyPem(pair);
			return await open(t, desk.brokerUrl, { ca, cert, key, clientId: name });
		};
		const impostor = await openMember(t, desk, "impostor", { signers: stolen });
		// He makes it for himself; the operator's folder is not his.
		await rm(issuedPath(dir, impostor.box));
		await poll("it lets his boxes in", async () => {
			impostor.swarm.dial([three.id]);
			return impostor.swarm.neighbours.has(three.id);
		});
		const [, mouth] = headendNames(network);
		/** Says something in the headend's name, which takes its session back every time. */
		const shout = (topic: string, payload: Buffer) =>
			poll("he is quicker", async () => {
				const liar = await enter(mouth);
				const ended = new Promise<false>((resolve) => {
					liar.once("close", () => resolve(false));
				});
				const sent = liar.publishAsync(topic, payload, { qos: 1 }).then(
					() => true,
					() => false,
				);
				const came = await Promise.race([sent, ended]);
				await liar.endAsync(true);
				return came;
			});
		let from = await lines();
		const placement = {
			...{ network, region, box: three.id, epoch: 1 },
			...{ rev: Math.floor(Date.now() / 1000) + 9, body: { titles: [] } },
		};
		const placed = seal({ ...stolen.issuer, purpose: "placement" }, placement);
		await shout(downTopic(three.id, "desired"), placed);
		await refused("wrong-purpose", from, /desired: .*granted for issuer/);
		t.pass("with the headend's own name at the broker it places nothing");
		from = await lines();
		const bans = part("issuer", "revoke", banned());
		await shout(headTopic(region), encodeMessage({ bans }));
		await refused("wrong-purpose", from, /head: .*granted for issuer/);
		t.pass("and shuts nobody out");
		const pair = generateKeyPair();
		const stranger = pair.publicKey.toString("hex") as BoxId;
		const client = await enter(stranger, pair);
		const request = { kind: "key", title: film.id, id: "0".repeat(32) };
		await client.publishAsync(
			upTopic(stranger, "request"),
			encodeMessage({ ...request, session: "0".repeat(16) }),
			{ qos: 1 },
		);
		await poll("it gets no title's key", async () =>
			(await logOf(desk.headend!)).some(
				({ slug, detail }) =>
					slug === "unknown-box" && `${detail}`.includes(stranger),
			),
		);
		await client.endAsync();
		await player.playsOn();

		await rotate("issuer");
		await (await HeadendClient.open(dir)).revoke(thief.box, "stolen");
		await poll("all have new memberships", async () => {
			return (await keys()).old.issuer === 0;
		});
		await order(t, "broker", "config", ...at);
		await retire("issuer");
		await poll("his boxes are cut off", async () => {
			return !boxes.some(({ id }) => impostor.swarm.neighbours.has(id));
		});
		from = await lines();
		await poll("and let in no more", async () => {
			impostor.swarm.dial([three.id]);
			const log = (await logOf(three.process!)).slice(from);
			return log.some(({ slug }) => slug === "retired-key");
		});
		from = main.lines.all.length;
		await t.rejects(enter(mouth), "nor by the broker");
		await main.lines.until((line) => line.includes("verify failed"), from);
		for (const box of boxes)
			t.ok((await desk.statusOf(box)).control.connected, `${box.name} is in`);
		await player.playsOn();
	});

	const { bytes, wrong } = await player.stop();
	t.ok(bytes > MB, `${bytes} bytes were played`);
	t.equal(wrong, 0, "as they were published");
});

async function isListed(
	desk: Neighbourhood,
	box: DeskBox,
	id: TitleId,
): Promise<boolean> {
	const response = await fetch(`${desk.gatewayOf(box)}/titles`);
	const titles = (await response.json()) as { id: TitleId }[];
	return titles.some((title) => title.id === id);
}

/** Plays a film at its box's pace, and compares what comes with what was published. */
async function startPlayer(
	t: Test,
	desk: Neighbourhood,
	box: DeskBox,
	film: Film,
) {
	const source = await readFile(film.source);
	const path = film.manifest.files[0]?.path;
	const url = `${desk.gatewayOf(box)}/titles/${film.id}/${path}`;
	const player = new AbortController();
	const { body, ok } = await fetch(url, { signal: player.signal });
	if (!ok || body === null) throw new Error("it does not play");
	let bytes = 0;
	let wrong = 0;
	const ended = (async () => {
		try {
			for await (const chunk of body) {
				const end = bytes + chunk.length;
				if (!source.subarray(bytes, end).equals(chunk)) wrong++;
				bytes = end;
			}
			throw new Error("it is over too soon");
		} catch (error) {
			if (!player.signal.aborted) throw error;
		}
	})();
	const stop = async () => {
		player.abort();
		await ended;
		return { bytes, wrong };
	};
	t.teardown(() => player.abort());
	ended.catch(() => undefined);
	return {
		stop,
		/** Resolves when more of it has come than at the call. */
		playsOn: () => {
			const before = bytes;
			return Promise.race([
				poll("the film plays on", async () => bytes > before),
				ended,
			]);
		},
	};
}

/** Rejects when the broker does not let it in. */
async function open(t: Test, url: string, options: IClientOptions) {
	const client = connect(url, {
		...{ protocolVersion: 5, reconnectPeriod: 0, ...options },
	});
	t.teardown(() => client.endAsync(true));
	await new Promise<void>((resolve, reject) => {
		client.once("connect", () => resolve());
		client.on("error", reject);
		client.once("close", () => reject(new Error("closed")));
	});
	return client;
}
