import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { type Bytes, KiB } from "../src/base/units.ts";

/** A key in a file larger than that is one of a program's own texts. */
const LARGEST: Bytes = 64 * KiB;
/** What each box has of its own, or gets when it is made one. A root has none of it. */
const OWN = [
	...["etc/machine-id", "etc/hostname", "var/lib/dbus/machine-id"],
	...["etc/larder/enrol.json", "etc/larder/larder.toml.d/operator.toml"],
	...["var/lib/larder/identity.json", "var/lib/systemd/random-seed"],
];
/** Folders and files of a store, wherever they lie: a catalog that is copied does not open. */
const STORE = /(^|\/)(shards|catalog|CORESTORE|known-nodes\.json)$/;
const SECRET =
	/-----BEGIN [A-Z ]*PRIVATE KEY-----|"(seed|networkSecret)": ?"[0-9a-f]{64}"/;

/** Throws when something is inside a root that only one box may have. */
export async function checkRoot(root: string): Promise<void> {
	const faults: string[] = [];
	const entries = await readdir(root, { recursive: true, withFileTypes: true });
	for (const entry of entries) {
		const file = join(entry.parentPath, entry.name);
		const path = relative(root, file);
		if (OWN.includes(path)) faults.push(`${path} is one box's own`);
		// Packages may call a folder so; what is kept lies below /var.
		if (path.startsWith("var/") && STORE.test(path))
			faults.push(`${path} is of a store`);
		if (!entry.isFile() || (await stat(file)).size > LARGEST) continue;
		if (SECRET.test(await readFile(file, "latin1")))
			faults.push(`${path} holds a key`);
	}
	const passwords = await readFile(join(root, "etc/shadow"), "utf8");
	for (const [, user] of passwords.matchAll(/^([^:]+):(?![!*])/gm))
		faults.push(`${user} may log in`);
	if (faults.length === 0) return;
	throw new Error(`this is not to be in an image:\n${faults.join("\n")}`);
}
