import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import {
	chmod,
	mkdir,
	readFile,
	readlink,
	symlink,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { NODE_FLAGS } from "../../src/agent/runtime.ts";
import { Releases } from "../../src/agent/update/releases.ts";
import { newTitle } from "../control/operator.ts";

const LAUNCH = join(import.meta.dirname, "../../systemd/launch");
const run = promisify(execFile);
const title = newTitle();

/** A box with the package's 0.1.0 on it, on which Node only says what it is to run. */
async function open(t: Test, ...versions: readonly string[]) {
	const dir = t.testdir({ lib: { agent: { version: "0.1.0\n" } }, run: {} });
	const state = join(dir, "state/releases");
	await writeFile(join(dir, "lib/node"), '#!/bin/sh\necho "$@"\n');
	await chmod(join(dir, "lib/node"), 0o755);
	await writeFile(join(dir, "lib/launch"), await readFile(LAUNCH));
	await mkdir(state, { recursive: true });
	for (const version of versions) {
		await mkdir(join(state, version));
		await writeFile(join(state, version, "version"), `${version}\n`);
		await writeFile(join(state, version, "larder.mjs"), "x");
	}
	const env = {
		PATH: process.env["PATH"],
		STATE_DIRECTORY: join(dir, "state"),
		RUNTIME_DIRECTORY: join(dir, "run"),
	};
	/** What is run: the package's agent, or which release. */
	const launch = async (...args: readonly string[]) => {
		const sh = [join(dir, "lib/launch"), ...args];
		const { stdout } = await run("sh", sh, { env });
		for (const flag of NODE_FLAGS) t.match(stdout, flag);
		const [, what, how] =
			/(agent|releases\/[^/]+)\/larder\.mjs (.*)/.exec(stdout) ?? [];
		const which = what === "releases/current" ? await current() : what;
		return [which?.replace("releases/", ""), how];
	};
	const current = () => readlink(join(state, "current"));
	const started = async (...args: readonly string[]) =>
		(await launch(...args))[0];
	const releases = new Releases(state);
	const refused = () => releases.refused();
	const onTrial = async (line: string) => {
		await releases.switchTo("0.2.0", title, "0.1.0");
		await writeFile(join(state, "trial"), `${line} ${title}\n`);
	};
	return { state, launch, started, releases, refused, onTrial, current };
}

t.test("without a release, the package's agent", async (t) => {
	const { launch } = await open(t);
	const how = "agent -c /etc/larder/larder.toml";
	t.same(await launch(), ["agent", how]);
	t.same(await launch("/mine.toml"), ["agent", "agent -c /mine.toml"]);
});

t.test("a release is tried once, then it is over", async (t) => {
	const it = await open(t, "0.2.0");
	await it.releases.switchTo("0.2.0", title, "0.1.0");
	t.equal(await it.started(), "0.2.0");
	t.match(await it.releases.trial(), { version: "0.2.0", title });
	t.equal(await it.started(), "agent", "it was not proven");
	t.same(await it.refused(), ["0.2.0"]);
	t.equal(await it.releases.trial(), undefined);
	t.equal(await it.started(), "agent");
	t.same(await it.refused(), ["0.2.0"], "once");
});

t.test("one that is proven stays", async (t) => {
	const it = await open(t, "0.2.0");
	await it.releases.switchTo("0.2.0", title, "0.1.0");
	t.equal(await it.started(), "0.2.0");
	await it.releases.keep();
	for (let times = 0; times < 3; times++) {
		await writeFile(join(it.state, "../../run/starts"), "0 0\n");
		t.equal(await it.started(), "0.2.0");
	}
	t.same(await it.refused(), []);
});

t.test("back to the release before, which asks, too", async (t) => {
	const it = await open(t, "0.2.0", "0.3.0");
	const how = "prove -c /etc/larder/larder.toml";
	await it.releases.switchTo("0.2.0", title, "0.1.0");
	await it.started();
	t.same(await it.launch("prove"), ["agent", how]);
	await it.releases.keep();
	await it.releases.switchTo("0.3.0", title, "0.2.0");
	t.equal(await it.started(), "0.3.0");
	t.same(await it.launch("prove", "/mine.toml", "--within", "1 s"), [
		"0.2.0",
		"prove -c /mine.toml --within 1 s",
	]);
	t.equal(await it.started(), "0.2.0");
	t.same(await it.refused(), ["0.3.0"]);
	t.same(await it.current(), "0.2.0");
});

t.test("nothing on trial, nothing to prove", async (t) => {
	const { state } = await open(t);
	const sh = [join(state, "../../lib/launch"), "prove"];
	const env = { ...process.env, STATE_DIRECTORY: join(state, "..") };
	t.match(await run("sh", sh, { env }), { stdout: "", stderr: "" });
});

t.test("a power cut is not a release's fault, three are", async (t) => {
	const it = await open(t, "0.2.0");
	await it.onTrial("0.2.0 - 1 another-boot");
	t.equal(await it.started(), "0.2.0");
	const trial = await readFile(join(it.state, "trial"), "utf8");
	t.match(trial, /^0\.2\.0 - 2 [0-9a-f-]{36} [0-9a-f]{64}\n$/);
	await it.onTrial("0.2.0 - 3 another-boot");
	t.equal(await it.started(), "agent");
	t.same(await it.refused(), ["0.2.0"]);
});

t.test("a power cut before the switch", async (t) => {
	const it = await open(t, "0.2.0", "0.3.0");
	await it.releases.switchTo("0.3.0", title, "0.1.0");
	await symlink("0.2.0", join(it.state, "current.cut"));
	await run("mv", [
		"-T",
		join(it.state, "current.cut"),
		join(it.state, "current"),
	]);
	t.equal(await it.started(), "0.2.0");
	t.notOk(existsSync(join(it.state, "trial")));
	t.same(await it.refused(), [], "it was never tried");
});

t.test("a package that brought a newer one wins", async (t) => {
	const it = await open(t, "0.2.0");
	await it.releases.switchTo("0.2.0", title, "0.1.0");
	await writeFile(join(it.state, "../../lib/agent/version"), "0.10.0\n");
	t.equal(await it.started(), "agent");
	t.notOk(existsSync(join(it.state, "current")));
	t.notOk(existsSync(join(it.state, "trial")));
	t.same(await it.refused(), []);
});
