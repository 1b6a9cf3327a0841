import { join } from "node:path";
import t from "tap";
import { ERRORS } from "../src/base/errors.ts";
import { table } from "./table.ts";

t.test("the page lists exactly the errors of the code", async (t) => {
	const page = table(join(import.meta.dirname, "../src/README.md"), "code");
	t.same(Object.fromEntries(page), ERRORS);
	t.equal(page.length, Object.keys(ERRORS).length, "each once");
});
