import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { table } from "./table.ts";

const README = join(import.meta.dirname, "../src/README.md");
const TEST = /\.test\(\s*(["'`])((?:\\.|(?!\1).)*)\1/gs;

/** What the tests of a file are called, with … for what is put in when they run. Throws when there is no such file. */
function titlesIn(file: string): string[] {
	const path = join(import.meta.dirname, `${file}.test.ts`);
	const source = readFileSync(path, "utf8");
	return [...source.matchAll(TEST)].map(([, , title = ""]) =>
		title.replaceAll(/\$\{[^}]*\}/g, "…"),
	);
}

t.test("every threat is shown by tests that there are", async (t) => {
	const threats = table(README, "who").map(([who = ""]) => who);
	t.ok(threats.length > 10);
	const shown = new Set<string>();
	let threat = "";
	for (const [who, file = "", title = ""] of table(README, "threat")) {
		threat = who || threat;
		shown.add(threat);
		t.match(title, /[a-z]{3}/, `${threat}: ${file}`);
		t.ok(titlesIn(file).includes(title), `${file}: ${title}`);
	}
	t.same(shown, new Set(threats));
});
