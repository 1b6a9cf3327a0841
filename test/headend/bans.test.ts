import { join } from "node:path";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Announcer } from "../../src/headend/control/announcer.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { entryOf } from "../../src/headend/publish/titles.ts";
import { openCatalogWriter } from "../../src/logs/writer.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { MAX_MESSAGE } from "../../src/wire/json.ts";
import { newTitle } from "../control/operator.ts";
import { bench, recordOf } from "./fixture.ts";

t.setTimeout(120_000);

/** More than fit into one message. */
const MANY = 50_000;

async function scene(t: Test) {
	const it = await bench(t);
	const { operator, fleet, database } = it;
	const catalog = await openCatalogWriter(join(it.dir, "catalog"), {
		epoch: 1,
	});
	t.teardown(() => catalog.close());
	const heads = await HeadWriter.open(operator, silent);
	const titles: TitleId[] = [];
	const announcer = await Announcer.open({
		...{ catalog, heads, log: silent },
		entries: () => titles.map((id) => entryOf(recordOf(id))),
		shutOut: () => fleet.shutOut(),
		revoked: () => fleet.revoked(),
		purged: () => [],
		policy: () => ({ shareTransient: "now" }),
		tellMembers: () => undefined,
		tellBroker: async () => undefined,
	});
	t.teardown(() => announcer.close());
	/** Boxes that were shut out at one time. */
	const revokeMany = (count: number, from: number, at: number) =>
		database.query(
			`INSERT INTO boxes (id, serial, region, issued_at, first_seen, turned_at, revoked_at)
			SELECT encode(sha256(i::text::bytea), 'hex'), i::text, 'north-1', 0, 0, 0, $3 FROM generate_series($1::integer, $2::integer) AS i`,
			[from, from + count - 1, at],
		);
	const idOf = async (serial: number) => {
		const { rows } = await database.query<{ id: BoxId }>(
			"SELECT id FROM boxes WHERE serial = $1",
			[String(serial)],
		);
		return rows[0]!.id;
	};
	return { ...it, heads, announcer, titles, revokeMany, idOf };
}

t.test("who was shut out long ago is not told of for ever", async (t) => {
	const it = await scene(t);
	const { fleet, heads, announcer, titles } = it;
	await it.revokeMany(MANY, 0, Date.now() - 91 * DAY);
	await it.revokeMany(1, MANY, Date.now() - 89 * DAY);
	const now = await it.box();
	await fleet.revoke(now, "stolen");
	titles.push(newTitle());
	await announcer.announce();
	const lately = [now, await it.idOf(MANY)].toSorted();
	t.same(heads.banned?.revoked, lately, "a lease of theirs may be believed");
	const [old] = [await it.idOf(0)];
	t.ok(announcer.isRevoked(old), "but nobody is given another");
	t.ok(announcer.isRevoked(now));
});

t.test("however many are shut out, the region hears the newest", async (t) => {
	const it = await scene(t);
	const { fleet, heads, announcer, titles } = it;
	await it.revokeMany(MANY, 0, Date.now() - 2 * DAY);
	const now = await it.box();
	await fleet.revoke(now, "stolen");
	titles.push(newTitle());
	await announcer.announce();
	t.ok((heads.bytes?.length ?? Infinity) < MAX_MESSAGE / 2);
	t.equal(heads.banned?.revoked.length, 20_000);
	t.ok(heads.banned?.revoked.includes(now));
});
