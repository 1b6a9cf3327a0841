// What `npm ci` would bring, looked at before anything of it is here: `node scripts/lockfile.mjs`, with any Node, without a package.
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { fileURLToPath } from "node:url";

/**
 * An entry of a lockfile, as npm writes it.
 * @typedef {object} Locked
 * @property {string} [name]
 * @property {string} [version]
 * @property {string} [integrity]
 * @property {string} [resolved]
 * @property {boolean} [link]
 * @property {boolean} [inBundle]
 * @property {unknown} [bundleDependencies]
 * @property {Readonly<Record<string, string>>} [dependencies]
 * @property {Readonly<Record<string, string>>} [devDependencies]
 * @property {Readonly<Record<string, string>>} [optionalDependencies]
 */

/** Sabotaged releases of node-ipc, 2022 and 2026; the whole of 11 had the payload for a dependency. */
const SABOTAGED = /^(9\.1\.6|9\.2\.[23]|10\.1\.[12]|11\..*|12\.0\.1)$/;
/** What a lockfile is checked with: an exact version, also of a package by another name. */
const EXACT = /^(npm:(@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(-[\w.]+)?$/;

/**
 * The node-ipc chain, as it was read: src/README.md. A version and the bytes that were read.
 * @type {Readonly<Record<string, readonly [version: string, integrity: string]>>}
 */
export const READ = {
	"node-ipc": [
		"9.2.1",
		"sha512-mJzaM6O3xHf9VT8BULvJSbdVbmHUKRNOH7zDDkCrA1/T+CVjq2WVIDfLt0azZRXpgArJtl3rtmEozrbXPZ9GaQ==",
	],
	"event-pubsub": [
		"4.3.0",
		"sha512-z7IyloorXvKbFx9Bpie2+vMJKKx1fH1EN5yiTfp8CiLOTptSYy1g8H4yDpGlEdshL1PBiFtBHepF2cNsqeEeFQ==",
	],
	"js-message": [
		"1.0.7",
		"sha512-efJLHhLjIyKRewNS9EGZ4UpI8NguuL6fKkhRxVuMmrGV2xN/0APGdQYwLFky5w9naebSZ0OwAGp0G6/2Cg90rA==",
	],
	"js-queue": [
		"2.0.2",
		"sha512-pbKLsbCfi7kriM3s1J4DDCo7jQkI58zPLHi0heXPzPlj0hjUsm+FesPUbE0DSbIVIK503A36aUBoCN7eMFedkA==",
	],
	"easy-stack": [
		"1.0.1",
		"sha512-wK2sCs4feiiJeFXn3zvY0p41mdU5VUgbgs1rNsc/y5ngFUijdWd+iIN8eoyuZHKB8xN6BL4PdWmzqFmxNg6V2w==",
	],
};

/**
 * What an entry is called, wherever it lies and whatever it goes by.
 * @param {string} path
 * @param {Locked} locked
 */
function nameOf(path, { name }) {
	return name ?? path.slice(path.lastIndexOf("node_modules/") + 13);
}

/**
 * What is wrong with where an entry wants its dependencies from.
 * @param {string} path
 * @param {Locked} locked
 */
function wishes(path, locked) {
	return Object.entries({
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
}

/**
 * All that is wrong with what a lockfile would bring.
 * @param {Readonly<Record<string, Locked>>} all its `packages`
 * @returns {string[]}
 */
export function faultsOf(all) {
	return Object.entries(all).flatMap(([path, locked]) => {
		const { version = "", integrity = "", resolved, link, inBundle } = locked;
		const name = nameOf(path, locked);
		const faults = wishes(path, locked);
		if (path === "") return faults;
		if (!/^sha512-[\w+/]{86}==$/.test(integrity))
			faults.push(`${path} has no integrity`);
		if (resolved !== undefined) faults.push(`${path} names ${resolved}`);
		if (link === true || inBundle === true)
			faults.push(`${path} comes with something else`);
		if (!EXACT.test(version)) faults.push(`${path} has version ${version}`);
		if (/peacenotwar/i.test(`${path} ${name}`)) faults.push(`${path} is here`);
		if (name === "node-ipc" && SABOTAGED.test(version))
			faults.push(`${path} ${version} is sabotaged`);
		const read = READ[name];
		if (read !== undefined && read.join() !== `${version},${integrity}`)
			faults.push(`${path} ${version} is not what was read`);
		return faults;
	});
}

if (argv[1] === fileURLToPath(import.meta.url)) {
	const file = argv[2] ?? new URL("../package-lock.json", import.meta.url);
	const faults = faultsOf(JSON.parse(readFileSync(file, "utf8")).packages);
	for (const fault of faults) console.error(`package-lock.json: ${fault}`);
	if (faults.length > 0) exit(1);
}
