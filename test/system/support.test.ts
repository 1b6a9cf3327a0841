// A support bundle of a box that has something to hide, made on it and asked of it.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import t from "tap";
import { MAX_BUNDLE } from "../../src/wire/reports.ts";
import { addBoxes, filled, larder, openDesk, publishFilm } from "./desk.ts";

t.setTimeout(240_000);

/** All texts in a value that could be a secret: long, without a blank. */
function secretsIn(value: unknown): string[] {
	if (typeof value === "string") return /^\S{16,}$/.test(value) ? [value] : [];
	if (typeof value !== "object" || value === null) return [];
	return Object.values(value).flatMap(secretsIn);
}

/** What the files below a folder say and are called; shards are not looked into. */
async function secretsBelow(folder: string): Promise<string[]> {
	const entries = await readdir(folder, {
		withFileTypes: true,
		recursive: true,
	});
	const files = entries.filter((entry) => entry.isFile());
	const found = files.map(async ({ parentPath, name }) => {
		const names = `${parentPath}/${name}`.match(/[0-9a-f]{64}/g) ?? [];
		const text = await readFile(join(parentPath, name), "latin1");
		if (!text.startsWith("{") && !text.startsWith("[")) return names;
		return [...names, ...secretsIn(JSON.parse(text))];
	});
	return (await Promise.all(found)).flat();
}

t.test("a support bundle tells no secret", async (t) => {
	const desk = await openDesk(t, { copies: 1 });
	const film = await publishFilm(desk, 1024 * 1024);
	const [box] = await addBoxes(desk, 1, {
		...{ playerToken: true, logLevel: "debug" },
	});
	if (box === undefined) throw new Error();
	await filled(desk, film.shards);
	const config = join(box.dir, "larder.toml");
	const { said } = await larder("player-token", "-c", config, "--json");
	const { base, token } = JSON.parse(said);
	const lists = await fetch(`${base}/titles/${film.id}/film.mp4`);
	t.equal((await lists.bytes()).length, film.manifest.size, "it is watched");

	const own = join(desk.dir, "own.tar.gz");
	const made = await larder("support-bundle", "-c", config, "--out", own);
	t.match(made, { code: 0, said: /own\.tar\.gz, / });
	const far = join(desk.dir, "far.tar.gz");
	const at = ["-d", desk.operator.dir, "--out", far];
	t.match(await larder("support-bundle", box.name, ...at), { code: 0 });
	const again = await larder("support-bundle", box.name, ...at);
	t.match(again, { code: 1, said: /a moment ago|exists/ });
	const audit = await larder("audit", "-d", desk.operator.dir);
	t.match(audit.said, /support/);

	const secrets = new Set([
		...(await secretsBelow(join(box.dir, "data"))),
		...secretsIn(
			JSON.parse(await readFile(join(box.dir, "identity.json"), "utf8")),
		),
		...[token, film.id, "film.mp4"],
	]);
	secrets.delete(box.id);
	// Of the operator's addresses, which are configuration, nothing is secret.
	for (const secret of secrets)
		if (/^(mqtts?|https?):/.test(secret)) secrets.delete(secret);
	t.ok(secrets.size > 20, `${secrets.size} secrets`);
	for (const file of [own, far]) {
		const { size, mode } = await stat(file);
		t.ok(size > 1000 && size <= MAX_BUNDLE, `${size} bytes`);
		t.equal(mode & 0o777, 0o600);
		const text = gunzipSync(await readFile(file)).toString("latin1");
		for (const name of ["machine", "doctor", "status", "config"])
			t.match(text, `${name}.json`);
		t.match(text, "agent.log");
		t.match(text, '"msg":"ready"');
		t.match(text, box.id);
		const told = [...secrets].filter((secret) => text.includes(secret));
		t.same(told, []);
		t.notMatch(text, film.id.slice(0, 8));
	}

	await box.process?.stop();
	const dead = join(desk.dir, "dead.tar.gz");
	const late = await larder("support-bundle", "-c", config, "--out", dead);
	t.equal(late.code, 0, "also of a box whose agent does not run");
	const text = gunzipSync(await readFile(dead)).toString("latin1");
	t.match(text, "IPC_UNREACHABLE");
});
