import { existsSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { table } from "./table.ts";

t.test("every threat names tests that there are", async (t) => {
	const rows = table(join(import.meta.dirname, "../src/README.md"), "who");
	t.ok(rows.length > 10);
	for (const [who = "", , , shown = ""] of rows) {
		t.not(shown, "", who);
		for (const [, name = ""] of shown.matchAll(/`([^`]+)`/g))
			t.ok(existsSync(join(import.meta.dirname, `${name}.test.ts`)), name);
	}
});
