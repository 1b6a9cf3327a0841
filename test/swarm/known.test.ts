import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { KnownNodes, readKnown } from "../../src/swarm/known.ts";

t.test("nodes are written when there are others than before", async (t) => {
	const file = join(t.testdir(), "known.json");
	let ports = [1, 2, 3];
	const toArray = () => ports.map((port) => ({ host: "10.0.0.1", port }));
	const known = new KnownNodes({ toArray }, file, silent);
	t.teardown(() => known.close());
	await known.close();
	const all = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.1:3"];
	t.same(await readKnown(file, silent), all);
	await writeFile(file, "untouched");
	for (const same of [[3, 2, 1], [2], []]) {
		ports = same;
		await known.close();
		t.equal(await readFile(file, "utf8"), "untouched", `${same}`);
	}
	ports = [2, 4];
	await known.close();
	t.same(await readKnown(file, silent), ["10.0.0.1:2", "10.0.0.1:4"]);
});
