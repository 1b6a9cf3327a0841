import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import t from "tap";
import { addBoxCommands } from "../../src/cli/boxcommands.ts";
import { addHeadendCommands } from "../../src/cli/headendcommands.ts";
import { createProgram } from "../../src/cli/program.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;

t.setTimeout(120_000);

t.test("the keys of an operator that no headend runs for", async (t) => {
	const folder = t.testdir({ stick: {} });
	const dir = join(folder, "operator");
	const stick = join(folder, "stick");
	const root = join(stick, "root.json");
	const secrets = new Set<string>();
	let everything = "";
	/** Runs a command; it exits as it should, and what it says is kept. */
	const larder = (code: number, ...args: string[]): Promise<string> =>
		new Promise((resolve) => {
			execFile(process.execPath, [MAIN, ...args], async (error, out, err) => {
				everything += out + err + args.join(" ");
				t.equal(error?.code ?? 0, code, `${args.join(" ")}: ${err}`);
				for (const place of [join(dir, "keys"), stick])
					for (const name of await readdir(place).catch(() => [])) {
						const text = await readFile(join(place, name), "utf8");
						const seed = /"seed":\s*"([0-9a-f]{64})"/.exec(text)?.[1];
						if (seed !== undefined) secrets.add(seed);
					}
				resolve(out + err);
			});
		});
	const keys = (code: number, ...args: string[]) =>
		larder(code, "keys", ...args, "-d", dir);

	const made = await larder(0, "init", dir, "--root", root);
	t.match(made, `the root's key is in ${root}`);
	t.match(made, /without the root no key can ever be replaced/);
	const list = await keys(0, "list");
	for (const purpose of ["issuer", "catalog", "placement", "revoke"])
		t.match(list, new RegExp(`^${purpose} +\\d+ .* in use$`, "m"));

	const told = await keys(0, "rotate", "placement", "--root", root);
	t.match(told, "no headend runs here: it counts from its next start");
	t.match(await keys(0, "list"), /placement .*replaced, still believed/);
	t.match(await keys(0, "retire", "placement", "--root", root), "only");
	const { keys: listed, headend } = JSON.parse(await keys(0, "list", "--json"));
	t.equal(headend, null);
	const placements = listed.filter(
		({ purpose }: { purpose: string }) => purpose === "placement",
	);
	t.match(placements, [{ state: "in-use" }, { state: "retired" }]);
	t.ok(placements[0].serial > placements[1].serial);
	t.ok(placements[0].until > Date.now());

	await larder(0, "issue", join(folder, "box"), "--serial", "1", "-d", dir);
	await keys(0, "rotate", "issuer", "--root", root);
	t.match(
		await keys(1, "retire", "issuer", "--root", root),
		/1 paper in force/,
	);
	await keys(0, "retire", "issuer", "--root", root, "--force");

	await keys(0, "rotate", "release", "--root", root);
	await keys(0, "retire", "release", "--root", root);
	const title = "a".repeat(64);
	t.match(
		await keys(0, "cosign", title, "--root", root),
		"vouches for 1 title in all",
	);
	t.match(await keys(1, "cosign", "a", "--root", root), "no title id");
	t.match(await keys(1, "rotate", "root", "--root", root), /Allowed choices/);
	t.match(await keys(1, "rotate", "issuer"), /keys\/root\.json: missing/);

	t.ok(secrets.size >= 2 + 4 + 3, `${secrets.size} secrets`);
	for (const secret of secrets)
		for (const encoding of ["hex", "base64", "base64url"] as const)
			t.notOk(
				everything.includes(
					Buffer.from(secret, "hex").toString(encoding).replace(/=+$/, ""),
				),
			);
});

t.test("where the root lies is said once the operator is made", async (t) => {
	const dir = join(t.testdir(), "operator");
	const said = await new Promise<string>((resolve, reject) => {
		execFile(process.execPath, [MAIN, "init", dir], (error, out) =>
			error ? reject(error) : resolve(out),
		);
	});
	t.match(said, `move ${dir}/keys/root.json and ${dir}/keys/release.json`);
});

const SECRET = /secret|seed|password|private|claim|token/;

t.test("no command takes a secret where `ps` shows it", (t) => {
	const program = createProgram("all");
	addHeadendCommands(program);
	addBoxCommands(program);
	let looked = 0;
	const look = (command: Command) => {
		for (const { flags } of command.options) {
			looked++;
			if (/[<[]/.test(flags)) t.notMatch(flags, SECRET);
		}
		for (const argument of command.registeredArguments)
			t.notMatch(argument.name(), SECRET);
		for (const below of command.commands) look(below);
	};
	look(program);
	t.ok(looked > 30, `${looked} options`);
	t.end();
});
