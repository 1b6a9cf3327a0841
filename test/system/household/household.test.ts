// A household's uplink, where packets leave it: in a network of its own, which takes root. `npm run test:household` looks at more moments.
import { join } from "node:path";
import t from "tap";

const skip = process.getuid?.() !== 0 && "a network of its own takes root";

t.setTimeout(300_000);

t.test("the household comes first", { skip }, async (t) => {
	const scene = join(import.meta.dirname, "scene.ts");
	await t.spawn("unshare", ["--net", process.execPath, scene]);
});
