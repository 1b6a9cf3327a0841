import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { TitleShelf } from "../../src/headend/publish/shelf.ts";
import { titlesDir, writeTitle } from "../../src/headend/publish/titles.ts";
import type { TitleId } from "../../src/wire/ids.ts";
import { Happenings, heard } from "../control/operator.ts";
import { recordOf, region } from "./fixture.ts";

const [a, b] = ["a", "b"].map((name) => name.repeat(64) as TitleId) as [
	TitleId,
	TitleId,
];

async function operator(t: Test) {
	const { dir } = await initOperator(join(t.testdir(), "operator"), { region });
	const lines = new Happenings<string>();
	const path = (id: TitleId) => join(titlesDir(dir), `${id}.json`);
	return { dir, lines, log: heard(lines), path };
}

t.test("the shelf follows the folder of records", async (t) => {
	const { dir, lines, log, path } = await operator(t);
	await writeTitle(dir, recordOf(a));
	const shelf = await TitleShelf.open(dir, log, 1);
	t.teardown(() => shelf.close());
	t.same(shelf.titles, [recordOf(a)]);
	// Between opening and following, as while the headend starts.
	await writeTitle(dir, recordOf(b, { publishedAt: 2 }));
	const seen = new Happenings<string>();
	let failing = false;
	shelf.follow(async () => {
		if (failing) {
			failing = false;
			throw new Error("a full disk");
		}
		seen.add(shelf.titles.map(({ id }) => id[0]).join(""));
	});
	await seen.until((ids) => ids === "ab");

	await writeFile(path(a), "{");
	await lines.until((line) => line.includes("record is damaged"));
	t.equal(shelf.titles.length, 2, "a damaged record is no title that is gone");

	const before = seen.all.length;
	failing = true;
	await rm(path(a));
	await seen.until((ids) => ids === "b", before);
	t.notOk(failing, "what failed was tried again");
	t.same(
		shelf.titles.map(({ id }) => id),
		[b],
	);
});

t.test(
	"a headend does not start with a record that it cannot read",
	async (t) => {
		const { dir, log, path } = await operator(t);
		await writeTitle(dir, recordOf(b));
		await writeFile(path(a), JSON.stringify({ ...recordOf(a), size: -1 }));
		await t.rejects(TitleShelf.open(dir, log), {
			code: "OPERATOR_INVALID",
			message: new RegExp(`${a}.json: size`),
		});
	},
);
