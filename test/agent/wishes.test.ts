import { existsSync, mkdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Intake } from "../../src/agent/intake.ts";
import { TitleKeys } from "../../src/agent/keys.ts";
import { Reporter } from "../../src/agent/reporter.ts";
import { fileVault } from "../../src/agent/vault.ts";
import { Wishes, type WishParts } from "../../src/agent/wishes.ts";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { KiB } from "../../src/base/units.ts";
import type { Desired } from "../../src/control/desired.ts";
import type { Standing } from "../../src/control/heads.ts";
import { openCatalogReader } from "../../src/logs/reader.ts";
import type { BoxId, NetworkId, Region, TitleId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { sealTo } from "../../src/wire/sealed.ts";
import { Operator, REGION } from "../control/operator.ts";
import { hold, makeTitle, type TestTitle, until } from "../fixture.ts";
import { has, makeRegion, meet } from "../swarm/region.ts";

const film = makeTitle(100 * KiB, 4 * KiB, 8, "film");
const other = makeTitle(60 * KiB, 4 * KiB, 8, "other");

/** A wish for whole titles, from neighbours. */
function placing(rev: number, ...titles: TestTitle[]): Desired {
	const ranks = ({ manifest }: TestTitle) => [
		{ rank: 1, shards: `0-${manifest.shards.length - 1}` },
	];
	const placed = titles.map((title) => ({ id: title.id, ranks: ranks(title) }));
	return { epoch: 1, rev, titles: placed, near: [] };
}

function head(version: number, ...purged: TitleId[]): Standing {
	return {
		announcement: {
			network: "0".repeat(64) as NetworkId,
			region: "north-1" as Region,
			epoch: 1,
			version,
			issuedAt: 0,
			catalog: { key: "ab".repeat(32), length: version },
			policy: { shareTransient: "now" },
		},
		revoked: new Set(),
		purged: new Map(purged.map((title) => [title, { at: 0, since: NOW }])),
		bans: {
			epoch: 1,
			version,
			purged: purged.map((title) => ({ title, at: 0 })),
		},
	};
}

const NOW = Date.now();
const NOTHING: Standing = { ...head(0), announcement: undefined };

/** A box that is ready to begin, its wishes, and a neighbour that holds both titles. */
async function scene(t: Test) {
	const region = await makeRegion(t, film, other);
	const time = { now: NOW };
	const wishes = new Wishes(() => time.now);
	const standing = { current: NOTHING };
	const isPurged = (id: TitleId) => standing.current.purged.has(id);
	/** As control does: in force at once, then told. */
	const tell = (head: Standing) => {
		standing.current = head;
		wishes.head(head);
	};
	const keyPair = generateKeyPair();
	const folder = t.testdir();
	const keyFolder = join(folder, "keys");
	const ask = async () => {
		if (isPurged(film.id))
			throw new LarderError("TITLE_KEY_DENIED", "it was taken back");
		const sealed = sealTo(keyPair.publicKey, film.cipher.key);
		return operator.command(id, {
			kind: "key",
			request: "0".repeat(32),
			title: film.id,
			sealed: sealed.toString("base64"),
			until: NOW + DAY,
		});
	};
	const operator = new Operator();
	const id = keyPair.publicKey.toString("hex") as BoxId;
	const { trust } = operator;
	const keys = new TitleKeys({
		folder: keyFolder,
		identity: { box: id, region: REGION, trust },
		vault: fileVault(keyPair),
		ask,
		log: silent,
	});
	t.teardown(() => keys.close());
	const revoked = new Set<string>();
	const box = await region.box("box", {
		keys,
		titles: [film],
		isPurged,
		mayRemove: (id) => wishes.mayRemove(id),
		membership: { isRevoked: (id) => revoked.has(id) },
	});
	const neighbour = await region.box("neighbour");
	await hold(neighbour, film);
	await hold(neighbour, other);
	await meet(box, neighbour);
	const catalog = await openCatalogReader(join(folder, "catalog"), silent);
	t.teardown(() => catalog.close());
	const reporter = new Reporter({
		budget: { isSpent: false, written: { boot: 0, all: 0 } },
		space: { reserve: 0 },
		aging: { wear: undefined },
		...{ store: box.store, room: box.room, ledger: box.ledger, log: silent },
		neighbours: () => box.swarm.neighbours.size,
		control: { report() {}, fill() {} },
		notifier: { status() {} },
	});
	t.teardown(() => reporter.close());
	const { swarm, reconciler, library, store, room } = box;
	const inbox = join(folder, "inbox");
	const intake = await Intake.open({
		...{ folder: inbox, store, room, log: silent },
		isPlaced: (id, shard) => reconciler.isPlaced(id, shard),
		...{ isListed: async () => false, may: () => true },
	});
	t.teardown(() => intake.close());
	const log = { ...silent, level: "info" };
	const parts: WishParts = {
		...{ catalog, swarm, reporter, reconciler, library, keys, log },
		lease: { look() {}, async renew() {} },
		updater: { order: async () => {} },
		...{ intake, household: { replaced: () => undefined } },
		attests: { look: async () => {}, acknowledged: async () => {} },
		trunk: { rate: 0 },
	};
	const keyFile = join(keyFolder, film.id);
	return {
		...{ box, neighbour, revoked, wishes, tell, time, parts, log, keyFile },
		...{ inbox, intake },
	};
}

t.test(
	"first what was in force, then what came meanwhile, in its order",
	async (t) => {
		const { box, wishes, parts, log } = await scene(t);
		const accepted = t.capture(parts.reporter, "accepted");
		const follow = t.capture(parts.catalog, "follow", parts.catalog.follow);
		wishes.placement(placing(3, other));
		wishes.head(head(8));
		wishes.placement(placing(4, film, other));
		wishes.head(head(9));
		const ordered = wishes.order({ kind: "log-level", level: "warn" });
		t.equal(accepted().length, 0);
		wishes.begin(parts, { placement: placing(2), standing: head(7) });
		await ordered;
		t.equal(log.level, "warn");
		const revs = accepted().map(({ args: [desired] }) => desired.rev);
		t.same(revs, [2, 3, 4]);
		const lengths = follow().map(({ args: [, length] }) => length);
		t.same(lengths, [7, 8, 9]);
		await until(() => box.progress()?.plan.phase === "applied");
		t.ok(await has(box, film), "the last placement holds");
		t.ok(await has(box, other));
		wishes.placement(placing(5, other));
		const placed = other.shardFiles.length;
		await until(() => box.progress()?.plan.placedShards === placed);
		await wishes.order({ kind: "report" });
		t.equal(log.level, "warn", "other commands change no level");
	},
);

t.test(
	"a title that is taken back leaves the disk, the players and the keys",
	async (t) => {
		const { box, wishes, tell, time, parts, keyFile } = await scene(t);
		wishes.begin(parts, { placement: placing(1, film), standing: NOTHING });
		await until(() => box.progress()?.plan.phase === "applied");
		const { signal } = new AbortController();
		await box.library.open(film.id, signal);
		await until(() => existsSync(keyFile));
		t.ok(box.library.isOpen(film.id));

		tell(head(1, film.id));
		await until(() => !box.library.isOpen(film.id));
		await until(() => !existsSync(keyFile));
		t.ok(box.store.inventory(film.id), "its bytes stay for a day");
		time.now += DAY - 1;
		tell(head(1, film.id));
		t.notOk(wishes.mayRemove(film.id));
		time.now += 1;
		t.ok(wishes.mayRemove(film.id));
		box.reconciler.purge([film.id]);
		await until(() => box.store.inventory(film.id) === undefined);
		await t.rejects(box.library.open(film.id, signal), {
			code: "TITLE_UNKNOWN",
		});
		wishes.placement(placing(2, film, other));
		await until(
			() =>
				box.store.inventory(other.id)?.held.count === other.shardFiles.length,
		);
		t.equal(box.store.inventory(film.id), undefined, "placed or not");

		tell(head(2));
		await until(
			() => box.store.inventory(film.id)?.held.count === film.shardFiles.length,
		);
		await t.resolves(box.library.open(film.id, signal), "given back");
		await until(() => existsSync(keyFile));
	},
);

t.test("what waits in the inbox is taken in once it is placed", async (t) => {
	const { box, wishes, parts, inbox, intake } = await scene(t);
	const brought = makeTitle(60 * KiB, 4 * KiB, 8, "brought");
	const place = join(inbox, brought.id);
	mkdirSync(place);
	writeFileSync(join(place, "manifest"), brought.manifestBytes);
	for (const [shard, bytes] of brought.shardFiles.entries()) {
		writeFileSync(join(place, `${shard}`), bytes);
		utimesSync(join(place, `${shard}`), 0, 0);
	}
	wishes.begin(parts, { placement: placing(1, film), standing: NOTHING });
	await until(() => intake.figures.waiting === brought.shardFiles.length);
	wishes.placement(placing(2, film, brought));
	await until(() => !existsSync(place));
	t.ok(await has(box, brought));
});

t.test("what was taken back before the restart stays so", async (t) => {
	const { wishes, parts, box } = await scene(t);
	wishes.begin(parts, {
		placement: placing(1, film, other),
		standing: head(1, film.id),
	});
	await until(
		() => box.store.inventory(other.id)?.held.count === other.shardFiles.length,
	);
	t.equal(box.store.inventory(film.id), undefined);
});

t.test("a head that revokes a neighbour cuts it", async (t) => {
	const { box, neighbour, revoked, wishes, parts } = await scene(t);
	wishes.begin(parts, { placement: undefined, standing: NOTHING });
	revoked.add(neighbour.id);
	wishes.head(head(1));
	await until(() => !box.swarm.neighbours.has(neighbour.id));
	t.pass("it is gone");
});
