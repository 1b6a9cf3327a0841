import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { Announcer } from "../../src/headend/control/announcer.ts";
import { HeadWriter } from "../../src/headend/control/heads.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { openCatalogWriter } from "../../src/logs/writer.ts";
import { until } from "../fixture.ts";
import { region } from "./fixture.ts";

t.test("the head is looked at by the hour, news or not", async (t) => {
	const time = { now: Date.now() };
	const dir = t.testdir();
	const folder = join(dir, "operator");
	const operator = await initOperator(folder, { region }, () => time.now);
	const catalog = await openCatalogWriter(join(folder, "catalog"), {
		epoch: 1,
	});
	t.teardown(() => catalog.close());
	const heads = await HeadWriter.open(operator, silent);
	const told: Buffer[] = [];
	const announcer = await Announcer.open({
		...{ catalog, heads, log: silent, round: 1 },
		entries: () => [],
		shutOut: async () => [],
		revoked: async () => [],
		purged: () => [],
		policy: () => ({ shareTransient: "now" }),
		tellMembers: () => undefined,
		tellBroker: async (bytes) => void told.push(bytes),
	});
	t.teardown(() => announcer.close());
	await until(() => told.length === 1);
	const mine = heads.banned?.version ?? 0;

	time.now += DAY;
	await until(() => told.length === 2);
	t.equal(heads.banned?.version, mine + DAY, "it was a day old");
});
