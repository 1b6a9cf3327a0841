import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import t from "tap";
import { table } from "./table.ts";

const ROOT = join(import.meta.dirname, "..");
const SRC = join(ROOT, "src");
const MAX_LINES = 300;
/** What may lie at the top of the repository. */
const TOP = [
	...["src", "test", "scripts", "image", "systemd", "docs", ".ci"],
	...["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md"],
	...["package.json", "package-lock.json", "tsconfig.json", "biome.json"],
	...["build.mjs", ".gitignore", ".npmrc"],
];

interface Row {
	readonly folder: string;
	readonly ring: string;
	readonly imports: readonly string[];
}

const rows: Row[] = table(join(SRC, "README.md"), "folder").map(
	([folder = "", ring = "", , imports = ""]) => ({
		folder,
		ring,
		imports: imports === "" ? [] : imports.split(/,\s*/),
	}),
);
const files = globSync("**/*.ts", { cwd: SRC }).filter(
	(file) => !file.endsWith(".d.ts"),
);
const folderOf = (file: string) => file.split("/")[0] ?? file;

/** Relative imports of a file, types included, as paths from src/. The package's own version may be read anywhere. */
function importsOf(file: string): string[] {
	const source = readFileSync(join(SRC, file), "utf8");
	const found = source.matchAll(
		/(?:^(?:import|export)\b[^;"]*?|\bimport\()\s*"(\.[^"]+)"/gm,
	);
	return [...found]
		.map(([, path = ""]) => normalize(join(dirname(file), path)))
		.filter((path) => path !== "../package.json");
}

const graph = new Map(files.map((file) => [file, importsOf(file)]));

/** The first chain of imports that comes back to where it began. */
function findCycle(): string[] | undefined {
	const done = new Set<string>();
	const visit = (file: string, trail: string[]): string[] | undefined => {
		if (trail.includes(file))
			return [...trail.slice(trail.indexOf(file)), file];
		if (done.has(file)) return undefined;
		for (const next of graph.get(file) ?? []) {
			const cycle = visit(next, [...trail, file]);
			if (cycle !== undefined) return cycle;
		}
		done.add(file);
		return undefined;
	};
	for (const file of files) {
		const cycle = visit(file, []);
		if (cycle !== undefined) return cycle;
	}
	return undefined;
}

t.test("the table lists the folders of src, each once", async (t) => {
	const folders = new Set(files.map(folderOf));
	t.same(new Set(rows.map(({ folder }) => folder)), folders);
	t.equal(rows.length, folders.size);
});

t.test(
	"each row allows only rows above, no hand a hand, no root a root",
	async (t) => {
		const above = new Map<string, string>();
		for (const { folder, ring, imports } of rows) {
			for (const name of imports) {
				t.ok(above.has(name), `${folder} may import ${name}: a row above`);
				const sibling = above.get(name) === ring && ring !== "pure";
				t.notOk(
					sibling && ring !== "top",
					`${folder} and ${name} are both ${ring}s`,
				);
			}
			above.set(folder, ring);
		}
		t.same([...new Set(above.values())], ["pure", "hand", "root", "top"]);
	},
);

t.test("every import is one that the table allows", async (t) => {
	const allowed = new Map(rows.map((row) => [row.folder, row.imports]));
	let seen = 0;
	for (const [file, imports] of graph) {
		for (const path of imports) {
			seen++;
			const [from, to] = [folderOf(file), folderOf(path)];
			if (from === to || allowed.get(from)?.includes(to)) continue;
			t.fail(`${file} imports ${path}`);
		}
	}
	t.ok(seen > files.length, `${seen} imports read`);
});

t.test("no file imports itself, however far round", async (t) => {
	t.equal(findCycle()?.join(" -> "), undefined);
});

t.test("pure folders reach no file, network or process", async (t) => {
	const pure = rows.filter(({ ring }) => ring === "pure");
	const world = /"node:(fs|net|http|https|dgram|child_process|os|worker)[/"]/;
	for (const file of files) {
		if (!pure.some(({ folder }) => folder === folderOf(file))) continue;
		t.notMatch(readFileSync(join(SRC, file), "utf8"), world, file);
	}
});

t.test(`no file is longer than ${MAX_LINES} lines`, async (t) => {
	for (const file of files) {
		const lines = readFileSync(join(SRC, file), "utf8").split("\n").length - 1;
		t.ok(lines <= MAX_LINES, `${file}: ${lines}`);
	}
});

t.test("the top of the repository holds what belongs there", async (t) => {
	const ignored = readFileSync(join(ROOT, ".gitignore"), "utf8")
		.split("\n")
		.map((line) => line.replace(/\/$/, ""));
	const here = globSync("{*,.*}", { cwd: ROOT, exclude: [".git", ...ignored] });
	t.same(
		here.filter((name) => !TOP.includes(name)),
		[],
	);
});
