// Bundles the box's agent: one folder per target, runnable from anywhere by the pinned Node with nothing beside it.
//   dist/agent/<target>/larder.mjs             all JavaScript
//   dist/agent/<target>/prebuilds/<target>/    native addons
//   dist/agent/<target>/page/                  src/gateway/page, so `new URL("./page/…", import.meta.url)` holds here too
//   dist/agent/<target>/vendor/                package files that pages load: what `import.meta.resolve` finds here
//   dist/agent/<target>/version               its version: systemd/launch and `larder release sign` read it
//   dist/agent/<target>/licenses.txt           what the bundled packages ask to be shipped with them
//   dist/agent/<target>.meta.json              esbuild's metafile: what is in the bundle, and why
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import {
	cp,
	mkdir,
	readdir,
	readFile,
	rm,
	stat,
	writeFile,
} from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { build } from "esbuild";
import pkg from "./package.json" with { type: "json" };
import { ARM64_RUNTIME } from "./scripts/arm64.ts";
import { formatBytes } from "./src/base/units.ts";

const run = promisify(execFile);
const ROOT = import.meta.dirname;
const TARGETS = ["linux-x64", "linux-arm64"];
const USAGE = `node build.mjs [--target ${TARGETS.join("|")}|all] [--entry FILE] [--out FOLDER] [--release VERSION] [--quiet]`;

/** Files of packages that are served as they are, by the name that source code gives to `import.meta.resolve`. */
const VENDORED = ["hls.js/dist/hls.min.mjs", "hls.js/dist/hls.worker.js"];

// CommonJS dependencies expect `require`, `__filename` and `__dirname`, which an ES module has to make. All but `require`
// go by other names, so that a module with a variable of that name keeps its own.
const BANNER = `import { createRequire as __larderRequire } from "node:module";
const require = __larderRequire(import.meta.url), __larderFile = import.meta.filename, __larderFolder = import.meta.dirname;
const __larderVendored = (file) => new URL("./vendor/" + file, import.meta.url).href;`;
const DEFINE = {
	__filename: "__larderFile",
	__dirname: "__larderFolder",
	"import.meta.resolve": "__larderVendored",
};

const byName = (a, b) => (a < b ? -1 : 1);

async function manifestOf(folder) {
	return JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
}

/** Turns each addon's run-time search (`require-addon`) into a plain require of its prebuilt file, and gathers those files. */
function addonsOf(target, files) {
	return {
		name: "addons",
		setup(bundler) {
			bundler.onLoad(
				{ filter: /node_modules\/.*\/binding\.js$/ },
				async ({ path }) => {
					const { name } = await manifestOf(dirname(path));
					const file = `prebuilds/${target}/${name}.node`;
					const source = join(dirname(path), file);
					if ((files.get(file) ?? source) !== source) {
						throw new Error(
							`two versions of ${name} are installed: run npm dedupe`,
						);
					}
					await stat(source);
					files.set(file, source);
					return { contents: `module.exports = require("./${file}");` };
				},
			);
			bundler.onResolve({ filter: /\.node$/ }, ({ path }) => ({
				path,
				external: true,
			}));
		},
	};
}

/**
 * Importing node:http as an ES module reads all that it exports, which loads undici and HTTP/2: 14 MB that a box never uses.
 * Requiring it does not.
 */
const requiredHttp = {
	name: "required-http",
	setup(bundler) {
		bundler.onResolve({ filter: /^node:http$/ }, ({ kind, path }) =>
			kind === "import-statement" ? { path, namespace: "required" } : undefined,
		);
		bundler.onLoad({ filter: /^node:/, namespace: "required" }, ({ path }) => ({
			contents: `module.exports = require("${path}");`,
		}));
	},
};

/** The license texts of all packages with a byte in the bundle: each text once, under the packages that come with it. */
async function licensesOf(inputs) {
	const folders = new Set();
	for (const input of inputs) {
		const folder = /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
		if (folder !== undefined) folders.add(join(ROOT, folder));
	}
	const byText = new Map();
	for (const folder of folders) {
		const { name, version, license } = await manifestOf(folder);
		const file = (await readdir(folder)).find((entry) =>
			/^licen[cs]e/i.test(entry),
		);
		const text =
			file === undefined
				? ""
				: (await readFile(join(folder, file), "utf8")).trim();
		byText.set(text, [
			...(byText.get(text) ?? []),
			`== ${name} ${version} (${license ?? "see text"})`,
		]);
	}
	const parts = [...byText].map(
		([text, names]) => `${names.toSorted(byName).join("\n")}\n\n${text}\n`,
	);
	return parts.toSorted(byName).join("\n");
}

/** Bytes of all files below a folder, or of those with this ending. */
async function sizeOf(folder, ending = "") {
	let size = 0;
	for (const entry of await readdir(folder, {
		recursive: true,
		withFileTypes: true,
	})) {
		if (entry.isFile() && entry.name.endsWith(ending))
			size += (await stat(join(entry.parentPath, entry.name))).size;
	}
	return size;
}

/** When the sources were last changed, in Unix milliseconds: the same sources give the same bundle. */
async function builtAt() {
	const { SOURCE_DATE_EPOCH } = process.env;
	if (SOURCE_DATE_EPOCH) return Number(SOURCE_DATE_EPOCH) * 1000;
	try {
		const args = ["log", "-1", "--format=%ct"];
		const { stdout } = await run("git", args, { cwd: ROOT });
		return Number(stdout) * 1000;
	} catch {
		// Not a checkout: a floor for the time that claims nothing.
		return 0;
	}
}

async function bundle(target, entry, out, version) {
	const addons = new Map();
	await rm(out, { recursive: true, force: true });
	const { metafile } = await build({
		absWorkingDir: ROOT,
		entryPoints: [entry],
		outfile: join(out, "larder.mjs"),
		bundle: true,
		platform: "node",
		target: "node24",
		format: "esm",
		banner: { js: BANNER },
		define: {
			...DEFINE,
			LARDER_BUILT: String(await builtAt()),
			LARDER_VERSION: JSON.stringify(version),
		},
		// Names stay, so that a stack trace from a box can be read; lines are short because Node prints the one that failed.
		minifySyntax: true,
		minifyWhitespace: true,
		lineLimit: 160,
		legalComments: "none",
		logLevel: "warning",
		metafile: true,
		plugins: [addonsOf(target, addons), requiredHttp],
	});
	const [output] = Object.values(metafile.outputs);
	const used = Object.entries(output.inputs).flatMap(
		([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : []),
	);
	for (const file of VENDORED)
		addons.set(`vendor/${file}`, join(ROOT, "node_modules", file));
	for (const [file, source] of addons) {
		await mkdir(dirname(join(out, file)), { recursive: true });
		await cp(source, join(out, file));
	}
	await cp(join(ROOT, "src/gateway/page"), join(out, "page"), {
		recursive: true,
	});
	await writeFile(
		join(out, "licenses.txt"),
		await licensesOf([
			...used,
			...VENDORED.map((file) => `node_modules/${file}`),
		]),
	);
	await writeFile(join(out, "version"), `${version}\n`);
	await writeFile(`${out}.meta.json`, JSON.stringify(metafile));
	return output.bytes;
}

/** Bytes of the pinned Node that goes onto the box with the bundle; npm installs only this machine's own. */
async function runtimeSize(target) {
	const own = join(ROOT, `node_modules/node-${target}/bin/node`);
	const file = [own, ARM64_RUNTIME].find(
		(path) => path.includes(target) && existsSync(path),
	);
	return file === undefined ? undefined : (await stat(file)).size;
}

async function report(target, out, script) {
	const addons = await sizeOf(out, ".node");
	const total = await sizeOf(out);
	const runtime = await runtimeSize(target);
	const parts = [
		`${formatBytes(script)} JavaScript`,
		`${formatBytes(addons)} addons`,
		`${formatBytes(total)} in all`,
		runtime === undefined
			? "runtime not fetched"
			: `${formatBytes(total + runtime)} with the runtime`,
	];
	console.log(`${relative(process.cwd(), out) || "."}: ${parts.join(", ")}`);
}

const { values } = parseArgs({
	options: {
		target: { type: "string", default: `${process.platform}-${process.arch}` },
		entry: { type: "string", default: join(ROOT, "src/cli/box.ts") },
		out: { type: "string", default: join(ROOT, "dist/agent") },
		release: { type: "string", default: pkg.version },
		quiet: { type: "boolean", default: false },
	},
});
const targets = values.target === "all" ? TARGETS : [values.target];
if (!targets.every((target) => TARGETS.includes(target))) {
	console.error(`No such target: ${values.target}\n${USAGE}`);
	process.exit(2);
}
for (const target of targets) {
	const out = join(resolve(values.out), target);
	const script = await bundle(
		target,
		resolve(values.entry),
		out,
		values.release,
	);
	if (!values.quiet) await report(target, out, script);
}
