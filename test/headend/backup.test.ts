import { spawnSync } from "node:child_process";
import {
	mkdir,
	readdir,
	readFile,
	rename,
	rm,
	stat,
	symlink,
	writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { backup, restore } from "../../src/headend/backup/backup.ts";
import { openDatabase } from "../../src/headend/fleet/database.ts";
import { boxes } from "../../src/headend/fleet/views.ts";
import { lockOperator } from "../../src/headend/operator/lock.ts";
import { openOperator } from "../../src/headend/operator/operator.ts";
import { rotateKey } from "../../src/headend/operator/rotate.ts";
import { bench, fillOf, stateOf } from "./fixture.ts";

const SECONDS = 1_800_000_000;

t.test("an operator comes back from one file", async (t) => {
	const it = await bench(t);
	const { dir, operator } = it;
	const box = await it.box();
	it.fleet.recordState(box, stateOf(box));
	it.fleet.recordFill(box, fillOf({ usedSpace: 77 }));
	await it.fleet.flush();
	const title = "a".repeat(64);
	await mkdir(join(operator.dir, "origin", title), { recursive: true });
	await writeFile(join(operator.dir, "origin", title, "manifest"), "manifest");
	await writeFile(join(operator.dir, "origin", title, "0"), "a large shard");
	await writeFile(join(operator.dir, "titles", `${title}.json`), "{}");
	const file = join(dir, "safe", "larder.backup");
	const clock = () => SECONDS * 1000;

	await t.test(
		"while the headend runs, and only for its owner to read",
		async (t) => {
			await backup(operator, file, it.database, clock);
			t.equal((await stat(file)).mode & 0o777, 0o600);
			t.same(await readdir(join(dir, "safe")), ["larder.backup"]);
		},
	);

	await t.test("another process does not get in between", async (t) => {
		const lock = await lockOperator(operator.dir);
		await t.rejects(backup(operator, join(dir, "no")), {
			code: "OPERATOR_BUSY",
		});
		await lock.close();
	});

	await t.test("whole, and in a higher epoch each time", async (t) => {
		const target = join(dir, "restored");
		const back = await restore(file, target, clock);
		t.equal(back.network, operator.network);
		t.equal(back.epoch, SECONDS);
		t.same(back.signers, operator.signers);
		t.same(
			(await readdir(target)).toSorted((a, b) => a.localeCompare(b)),
			[
				"db",
				"epoch",
				"ingest",
				"issued",
				"keys",
				"network.json",
				"operator.toml",
				"origin",
				"titles",
			],
		);
		t.equal((await stat(join(target, "keys"))).mode & 0o777, 0o700);
		t.equal((await stat(join(target, "keys/root.json"))).mode & 0o777, 0o600);
		t.same(await readdir(join(target, "origin", title)), ["manifest"]);
		const database = await openDatabase(join(target, "db"));
		t.match(await boxes(database), [{ id: box, online: true, used: 77 }]);
		await database.close();
		const idle = join(dir, "idle.backup");
		await backup(back, idle);
		const again = await restore(idle, join(dir, "again"), clock);
		t.equal(again.epoch, SECONDS + 1, "a clock that stands still");
	});

	await t.test("with the root's key only while it lies there", async (t) => {
		for (const name of ["root.json", "release.json"])
			await rename(join(operator.dir, "keys", name), join(dir, name));
		const away = join(dir, "away.backup");
		await backup(operator, away, it.database, clock);
		const target = join(dir, "rootless");
		const back = await restore(away, target, clock);
		const keys = await readdir(join(target, "keys"));
		t.notOk(keys.includes("root.json") || keys.includes("release.json"));
		t.ok(keys.includes("issuer.json"));
		const root = join(dir, "root.json");
		await rotateKey(back, "issuer", root);
		t.ok((await openOperator(target)).signers.issuer.earlier.length);
		for (const name of ["root.json", "release.json"])
			await rename(join(dir, name), join(operator.dir, "keys", name));
	});

	await t.test("not while keys are changed", async (t) => {
		const lock = await lockOperator(join(operator.dir, "keys"));
		await t.rejects(backup(operator, join(dir, "no"), it.database), {
			code: "OPERATOR_BUSY",
		});
		await lock.close();
	});

	await t.test("never over an operator", async (t) => {
		await t.rejects(restore(file, operator.dir), { code: "OPERATOR_EXISTS" });
	});

	await t.test(
		"a file that is torn, changed, added to or something else is refused, and leaves nothing",
		async (t) => {
			const target = join(dir, "target");
			const refused = async (path: string, why: RegExp) => {
				await t.rejects(restore(path, target), {
					code: "BACKUP_INVALID",
					message: why,
				});
				t.notOk((await readdir(dir)).some((name) => name.includes("target")));
			};
			const bytes = await readFile(file);
			const bent = join(dir, "bent");
			await writeFile(bent, bytes.subarray(0, bytes.length / 2));
			await refused(bent, /unpacked/);
			await writeFile(bent, "not a backup");
			await refused(bent, /unpacked/);
			await refused(join(dir, "nowhere"), /unpacked/);
			const repack = async (change: (content: string) => Promise<void>) => {
				const content = join(dir, "content");
				await mkdir(content);
				spawnSync("tar", ["xzf", file, "-C", content]);
				await change(content);
				spawnSync("tar", ["czf", bent, "-C", content, "."]);
				await rm(content, { recursive: true });
			};
			await repack((content) => writeFile(join(content, "epoch"), "9"));
			await refused(bent, /epoch is damaged/);
			await repack((content) => rm(join(content, "keys/root.json")));
			await refused(bent, /root\.json is missing/);
			await repack((content) =>
				writeFile(join(content, "keys/more.json"), "{}"),
			);
			await refused(bent, /more\.json is damaged/);
			await repack(async (content) => {
				await rm(join(content, "operator.toml"));
				await symlink("/etc/passwd", join(content, "operator.toml"));
			});
			await refused(bent, /cannot be restored|not a file/);
			await repack((content) => rm(join(content, "backup.json")));
			await refused(bent, /no list/);
		},
	);
});
