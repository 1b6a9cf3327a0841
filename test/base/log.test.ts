import { spawnSync } from "node:child_process";
import { join } from "node:path";
import t from "tap";

const LOG = join(import.meta.dirname, "../../src/base/log.ts");
const TITLE = "5eed".repeat(16);
const OTHER = "f00d".repeat(16);
const BOX = "b0b0".repeat(16);

/** What a process says that logs. */
function said(options: object): string {
	const script = `
		import { createLog } from ${JSON.stringify(LOG)};
		const log = createLog("agent", "info", ${JSON.stringify(options)});
		const err = new Error("EIO: i/o error, open '/data/shards/${TITLE}/3'", { cause: new Error("${OTHER}") });
		log.warn({ err, title: "${TITLE}" }, "a read failed");
		log.info({ box: "${BOX}" }, "ready");
		log.child({ title: "${OTHER}" }).warn({}, "another");
	`;
	const args = ["--input-type=module", "--eval", script];
	return spawnSync(process.execPath, args, { encoding: "utf8" }).stderr;
}

t.test("a box's log tells titles apart, and not which they are", async (t) => {
	for (const terminal of [false, true]) {
		const text = said({ veiled: true, terminal });
		t.match(text, /a read failed/);
		for (const id of [TITLE, OTHER]) t.notMatch(text, id.slice(0, 8));
		t.match(text, BOX, "boxes are called by their ids");
		const names = new Set(text.match(/~[0-9a-f]{8}/g));
		t.equal(names.size, 2, "one name for each, wherever it comes");
		const again = said({ veiled: true, terminal });
		for (const name of names) t.notMatch(again, name);
	}
});

t.test("the operator's says them", async (t) => {
	t.match(said({ terminal: false }), TITLE);
});
