import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { PURGES_A_DAY } from "../../src/control/purges.ts";
import { Attests } from "../../src/headend/fleet/attests.ts";
import { Purges } from "../../src/headend/fleet/purges.ts";
import { purgeViews } from "../../src/headend/fleet/stragglers.ts";
import { readIssued } from "../../src/headend/operator/issue.ts";
import { Limbo } from "../../src/headend/publish/limbo.ts";
import {
	listTitles,
	titlesDir,
	writeTitle,
} from "../../src/headend/publish/titles.ts";
import { Withdrawal } from "../../src/headend/withdrawal.ts";
import { type Attestation, signAttestation } from "../../src/wire/attest.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { newTitle } from "../control/operator.ts";
import { bench, fillOf, recordOf, stateOf } from "./fixture.ts";

t.setTimeout(120_000);

const NOW = Date.UTC(2026, 0, 10, 12);
const LIMITS = { titles: 10, boxes: 10 };

async function scene(t: Test) {
	const time = { now: NOW };
	const now = () => time.now;
	const it = await bench(t, now);
	const vouched = new Set<TitleId>();
	const purges = await Purges.open({
		...{ database: it.database, now },
		vouched: () => vouched,
	});
	const attests = new Attests({
		...{ database: it.database, now },
		issued: (box) => readIssued(it.operator.dir, box),
	});
	const { dir } = it.operator;
	const film = recordOf(newTitle());
	await writeTitle(dir, film);
	const files = join(dir, "origin", film.id);
	await mkdir(join(files, "holders"), { recursive: true });
	await writeFile(join(files, "manifest"), "m");
	const announced: TitleId[][] = [];
	const { titles } = await listTitles(dir);
	const withdrawal = new Withdrawal({
		purges,
		limbo: new Limbo(dir),
		titles: () => titles,
		bannedAt: () => NOW,
		announce: async () => {
			announced.push(purges.list.map(({ title }) => title));
		},
		log: silent,
	});
	t.teardown(() => withdrawal.close());
	const record = join(titlesDir(dir), `${film.id}.json`);
	return {
		...{ ...it, time, vouched, purges, attests, dir, film, files },
		...{ announced, withdrawal, record },
	};
}

/** Whether a key lies anywhere below a folder of records. */
async function hasKey(dir: string, id: TitleId): Promise<boolean> {
	for (const folder of ["titles", "purged"]) {
		const path = join(dir, folder, `${id}.json`);
		if (existsSync(path) && /"key"/.test(await readFile(path, "utf8")))
			return true;
	}
	return false;
}

t.test("a title is off the shelf at once and gone a day later", async (t) => {
	const { withdrawal, film, files, record, dir, time, announced, purges } =
		await scene(t);
	await withdrawal.purge(film.id, "rights ended");
	t.same(announced, [[film.id]]);
	t.notOk(existsSync(record));
	t.notOk(existsSync(files));
	await t.rejects(withdrawal.purge(film.id, "again"), {
		code: "REQUEST_INVALID",
	});
	await mkdir(join(files, "holders"), { recursive: true });
	time.now += DAY - 1;
	await withdrawal.settled();
	t.notOk(existsSync(files), "a table that was written meanwhile goes, too");
	t.ok(await hasKey(dir, film.id), "it can still be given back");

	time.now += 1;
	await withdrawal.settled();
	t.notOk(await hasKey(dir, film.id));
	t.notOk(existsSync(join(dir, "origin", `.purged-${film.id}`)));
	await t.rejects(withdrawal.giveBack(film.id), { code: "REQUEST_INVALID" });
	t.ok(purges.has(film.id), "and stays taken back");
	const { path, fingerprint } = film.source;
	t.ok(await new Limbo(dir).holds(path.slice(1), fingerprint));
	await writeTitle(dir, recordOf(newTitle()));
	t.equal((await listTitles(dir)).titles.length, 1);
});

t.test("given back, it is as it was", async (t) => {
	const { withdrawal, film, files, record, announced, purges, time } =
		await scene(t);
	const before = await readFile(record, "utf8");
	await t.rejects(withdrawal.giveBack(film.id), { code: "TITLE_UNKNOWN" });
	await withdrawal.purge(film.id, "by mistake");
	await withdrawal.giveBack(film.id);
	t.same(announced, [[film.id], []]);
	t.equal(await readFile(record, "utf8"), before);
	t.equal(await readFile(join(files, "manifest"), "utf8"), "m");
	time.now += 2 * DAY;
	await withdrawal.settled();
	t.ok(existsSync(record));
	await withdrawal.purge(film.id, "after all");
	t.same(purges.list, [{ title: film.id, at: time.now }]);
});

t.test("a headend that died halfway goes on", async (t) => {
	const { withdrawal, film, record, purges, files } = await scene(t);
	await purges.order(film.id, film, "rights ended", 0);
	await withdrawal.start();
	t.notOk(existsSync(record));
	t.notOk(existsSync(files));
	await purges.countermand(film.id);
	await withdrawal.settled();
	t.ok(existsSync(record));
	t.ok(existsSync(files));
});

t.test(
	"no more in a day than boxes obey, unless the root says so",
	async (t) => {
		const { purges, vouched, time } = await scene(t);
		const order = (id = newTitle()) => purges.order(id, undefined, "why", 0);
		for (let count = 0; count < PURGES_A_DAY; count++) await order();
		await t.rejects(order(), { code: "PURGE_LIMIT" });
		const title = newTitle();
		vouched.add(title);
		await order(title);
		t.equal(purges.list.length, PURGES_A_DAY + 1);
		time.now += DAY;
		await order();
		t.equal(purges.list.at(-1)?.at, time.now);
		await purges.order(newTitle(), undefined, "why", time.now + 5);
		t.equal(purges.list.at(-1)?.at, time.now + 5, "not before the bans");
	},
);

t.test("boxes attest, and who does not is listed", async (t) => {
	const it = await scene(t);
	const { attests, purges, film, fleet, database, time, operator } = it;
	const boxes = await Promise.all([it.box(), it.box(), it.box()]);
	const [here, there, out] = boxes as [BoxId, BoxId, BoxId];
	for (const box of boxes) fleet.recordState(box, stateOf(box));
	await fleet.revoke(out, "stolen");
	await purges.order(film.id, film, "rights ended", 0);
	const ordered = NOW;
	const pair = generateKeyPair();
	const say = (box: BoxId, at: number, over: Partial<Attestation> = {}) => {
		const said: Attestation = {
			network: operator.network,
			...{ box, title: film.id, ordered, at, state: "deleted" },
			bans: { epoch: 1, version: 1 },
			...over,
		};
		return attests.keep(box, [{ ...signAttestation(pair, said), said }]);
	};
	const look = async () => (await purgeViews(database, LIMITS))[0];

	t.match(await look(), {
		...{ id: film.id, name: "Film", assetId: "film", at: NOW },
		...{ why: "rights ended", final: NOW + DAY, removedAt: null },
		...{ deleted: 0, hidden: 0, waiting: 2, faults: 0 },
	});
	await say(here, 5, { state: "hidden" });
	await say(there, 5, { title: newTitle() });
	t.match(await look(), { deleted: 0, hidden: 1, waiting: 1 });
	await say(here, 6);
	await say(here, 5, { state: "hidden" });
	const straggler = {
		...{ box: there, serial: "SN-0002", state: "waiting", online: true },
	};
	t.match(await look(), {
		...{ deleted: 1, hidden: 0, faults: 0 },
		stragglers: [straggler],
	});
	t.notOk(await say(pair.publicKey.toString("hex") as BoxId, 1));

	await t.test("who has it again is at fault", async (t) => {
		await say(here, 7, { state: "hidden" });
		t.match(await look(), { deleted: 0, hidden: 0, faults: 1 });
		await say(here, 8);
		t.match(await look(), { deleted: 1, faults: 0 });
		time.now += 1;
		const titles = [{ id: film.id, placed: 4, held: 1, bytes: 1 }];
		fleet.recordFill(here, fillOf({ titles }));
		await fleet.flush();
		t.match(await look(), {
			...{ deleted: 0, faults: 1 },
			stragglers: [{ box: here, state: "fault" }, straggler],
		});
		fleet.recordFill(here, fillOf());
		await fleet.flush();
	});

	await t.test(
		"what was said of an earlier order does not count",
		async (t) => {
			await purges.countermand(film.id);
			t.same(await purgeViews(database, LIMITS), []);
			time.now += 1000;
			await purges.order(film.id, film, "after all", 0);
			t.match(await look(), { deleted: 0, waiting: 2, name: "Film" });
			await say(here, 9);
			t.match(await look(), { deleted: 0, waiting: 2 });
			await say(here, 10, { ordered: time.now });
			t.match(await look(), { deleted: 1, waiting: 1 });
			t.match(await purgeViews(database, LIMITS, newTitle()), []);
		},
	);
});
