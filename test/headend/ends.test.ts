import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { DAY } from "../../src/base/time.ts";
import { watchEnds } from "../../src/headend/ends.ts";
import {
	initOperator,
	openOperator,
} from "../../src/headend/operator/operator.ts";
import { writeBroker } from "../../src/headend/tls/broker.ts";
import { region } from "./fixture.ts";

const MADE = Date.UTC(2026, 0, 1);

t.test("what ends before long is said", async (t) => {
	const dir = join(t.testdir(), "operator");
	const operator = await initOperator(dir, { region }, () => MADE);
	const said = async (now: number): Promise<string> => {
		const lines: string[] = [];
		const warn = (_: object, line: string) => void lines.push(line);
		const later = await openOperator(dir, () => now);
		(await watchEnds(later, { ...silent, warn, error: warn }))();
		return lines.join("\n");
	};
	t.equal(await said(MADE + 364 * DAY), "", "without a broker's certificate");
	const ports = { port: 8883, enrolPort: 8884, enrolHeadendPort: 8885 };
	const settings = { hosts: [], user: "root", ...ports };
	await writeBroker(operator, settings, () => MADE);
	t.equal(await said(MADE + 334 * DAY), "");
	t.match(
		await said(MADE + 336 * DAY),
		/^the broker's certificate ends on 2027-01-01, and then no box connects: run larder broker config, then send/,
	);
	t.match(await said(MADE + 366 * DAY), /certificate ended on 2027-01-01, and/);
	t.match(await said(MADE + 3600 * DAY), /the key for issuer ends on 2036-/);
	await writeBroker(operator, settings, () => MADE + 336 * DAY);
	t.equal(await said(MADE + 336 * DAY), "");
});
