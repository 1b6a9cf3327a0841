import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";
import { formatEnv, parseEnv } from "../../image/media.ts";

const run = promisify(execFile);
const SLOT = join(
	import.meta.dirname,
	"../../image/rootfs/usr/sbin/larder-slot",
);

/** A machine whose slot a runs, with programs of its own that say what the test wants and note what they were called for. */
async function open(t: Test, env: Record<string, string>) {
	const dir = t.testdir({
		efi: { grub: {}, larder: {}, a: { vmlinuz: "kernel" } },
		bin: {},
		calls: "",
		cmdline: "larder.slot=a ro quiet\n",
	});
	const grubenv = join(dir, "efi/grub/grubenv");
	await writeFile(grubenv, formatEnv(new Map(Object.entries(env))));
	const program = async (name: string, text: string) => {
		const note = `echo "${name} $*" >> "${dir}/calls"`;
		await writeFile(join(dir, "bin", name), `#!/bin/sh\n${note}\n${text}\n`);
		await chmod(join(dir, "bin", name), 0o755);
	};
	await program(
		"systemctl",
		'case "$*" in *ActiveState*) echo active ;; *) echo one ;; esac',
	);
	await program("sleep", "exit 0");
	const slot = async (...args: readonly string[]) => {
		const { stdout } = await run("sh", [SLOT, ...args], {
			env: {
				PATH: `${join(dir, "bin")}:${process.env["PATH"]}`,
				LARDER_EFI: join(dir, "efi"),
				LARDER_CMDLINE: join(dir, "cmdline"),
				LARDER_STEADY: "0",
				LARDER_PATIENCE: "0",
			},
		});
		return stdout;
	};
	return {
		...{ dir, slot, program },
		env: async () =>
			Object.fromEntries(parseEnv(await readFile(grubenv, "utf8"))),
		calls: () => readFile(join(dir, "calls"), "utf8"),
		size: async () => (await stat(grubenv)).size,
	};
}

t.test("a slot whose agent serves is good from then on", async (t) => {
	const it = await open(t, { newest: "a", a_tries: "1", extra: "x=y z" });
	t.match(await it.slot("status"), /running a\na on trial, started 1 of 3/);
	await it.slot("prove");
	t.same(await it.env(), {
		newest: "a",
		a_tries: "1",
		extra: "x=y z",
		a_ok: "1",
	});
	t.equal(await it.size(), 1024);
	t.match(await it.slot("status"), /a good\nb empty/);
	t.notMatch(await it.calls(), /reboot/);
});

t.test("one that does not serve is left for the one that did", async (t) => {
	const it = await open(t, { newest: "a", a_tries: "1", b_ok: "1" });
	await it.program("systemctl", "case $* in *State*) echo failed ;; esac");
	await it.slot("prove");
	t.same(await it.env(), { newest: "a", a_tries: "3", b_ok: "1" });
	t.match(await it.calls(), /systemctl reboot/);
});

t.test("nothing is installed from a slot on trial", async (t) => {
	const it = await open(t, { newest: "a", a_tries: "1", b_ok: "1" });
	await t.rejects(it.slot("install", "/x.release"), /on trial/);
	t.match(await it.env(), { b_ok: "1" });
});

t.test("an image that is not good changes nothing", async (t) => {
	const before = { newest: "a", a_ok: "1", b_ok: "1" };
	const it = await open(t, before);
	await it.program("larder", "exit 1");
	await t.rejects(it.slot("install", "/x.release"));
	t.same(await it.env(), before);
	t.notMatch(await it.calls(), /write/);
});

t.test("an image goes into the other slot, and is tried", async (t) => {
	const it = await open(t, { newest: "a", a_ok: "1", b_ok: "1" });
	await it.program("larder", "exit 0");
	await it.program("blockdev", "exit 0");
	await it.program("umount", 'rm -r "$1/boot"');
	await it.program(
		"mount",
		'for at; do :; done; mkdir "$at/boot"; for each in vmlinuz initrd; do echo new > "$at/boot/$each"; done',
	);
	await it.slot("install", "/x.release");
	t.match(
		(await it.calls()).replaceAll(/^(systemctl|sleep).*\n/gm, ""),
		/image check .x\.release\nlarder image write .x\.release .*larder-b\nblockdev .*\nlarder image check .x.release .*larder-b\nmount/,
	);
	t.same(await it.env(), { newest: "b", a_ok: "1", b_ok: "0", b_tries: "0" });
	t.equal(await readFile(join(it.dir, "efi/b/vmlinuz"), "utf8"), "new\n");
});

t.test("a reset is asked for on the boot partition", async (t) => {
	const it = await open(t, { newest: "a" });
	await it.slot("reset");
	const flag = join(it.dir, "efi/larder/factory-reset");
	t.equal((await stat(flag)).size, 0);
	await it.slot("unflag", "factory-reset");
	await t.rejects(stat(flag), { code: "ENOENT" });
});

t.test("a machine without slots", async (t) => {
	const it = await open(t, {});
	await mkdir(join(it.dir, "none"));
	const env = { ...process.env, LARDER_EFI: join(it.dir, "none") };
	await t.rejects(
		run("sh", [SLOT, "status"], { env }),
		/no machine with slots/,
	);
});
