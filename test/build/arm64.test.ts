import t from "tap";
import pkg from "../../package.json" with { type: "json" };
import { arm64Node, prepareArm64 } from "../../scripts/arm64.ts";
import { bundle, larder, tryAddons } from "./bundle.ts";

const TARGET = "linux-arm64";
t.before(() => prepareArm64(t.comment));

t.test("the arm64 bundle starts on the pinned arm64 Node", async (t) => {
	const folder = await bundle(t, TARGET);
	const version = await larder(folder, arm64Node(), "--version");
	t.equal(version.trim(), pkg.version);
});

t.test("the arm64 addons load and work", async (t) => {
	await tryAddons(t, TARGET, arm64Node());
});
