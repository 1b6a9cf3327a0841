import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";

const run = promisify(execFile);
const CONFIG = join(import.meta.dirname, "../../image/grub.cfg");

/** GRUB's commands, as bash: a kernel is there or damaged as the test says, and a boot ends it. */
const GRUB = `
set() { printf -v "\${1%%=*}" %s "\${1#*=}"; }
load_env() { eval "$ENV"; }
save_env() { echo "save $1=\${!1}"; }
[() {
	if test "$1" = -s; then [[ " $KERNELS " == *" $2 "* ]]; else builtin [ "$@"; fi
}
linux() { case " $DAMAGED " in *" $1 "*) return 1 ;; esac; echo "linux $*"; }
initrd() { echo "initrd $1"; }
boot() { exit 0; }
sleep() { :; }
reboot() { echo reboot; exit 0; }
`;

interface Disk {
	readonly newest?: string;
	readonly a_ok?: string;
	readonly a_tries?: string;
	readonly b_ok?: string;
	readonly b_tries?: string;
}

/** Boots: which slot, and what is in grubenv then. */
async function boot(disk: Disk, kernels = "ab", damaged = "") {
	const env = Object.entries(disk).map(([name, value]) => `${name}=${value}`);
	const has = [...kernels].map((slot) => `/${slot}/vmlinuz`).join(" ");
	const text = await readFile(CONFIG, "utf8");
	const { stdout } = await run("bash", ["-c", `${GRUB}\n${text}`], {
		env: {
			PATH: process.env["PATH"],
			ENV: env.join("\n"),
			KERNELS: has,
			DAMAGED: damaged,
		},
	});
	const saved = /^save (\w+)=(.*)$/m.exec(stdout);
	const slot = /larder\.slot=(.)/.exec(stdout)?.[1];
	return {
		slot,
		disk: saved === null ? disk : { ...disk, [`${saved[1]}`]: saved[2] },
		stdout,
	};
}

/** Which slots so many boots in a row take. */
async function boots(disk: Disk, count: number, kernels?: string) {
	const slots: (string | undefined)[] = [];
	for (let at: Disk = disk; slots.length < count; ) {
		const next = await boot(at, kernels);
		slots.push(next.slot);
		at = next.disk;
	}
	return slots.join("");
}

t.test("a good slot is never counted", async (t) => {
	const good = { newest: "a", a_ok: "1" };
	const { slot, stdout } = await boot(good);
	t.equal(slot, "a");
	t.notMatch(stdout, /save/);
	t.equal(await boots(good, 5), "aaaaa");
	t.equal(await boots({ ...good, a_tries: "3" }, 1), "a");
});

t.test("a new slot has three tries, then the other", async (t) => {
	const updated = { newest: "b", a_ok: "1", b_ok: "0", b_tries: "0" };
	t.equal(await boots(updated, 6), "bbbaaa");
	t.equal(await boots({ ...updated, b_ok: "1" }, 6), "bbbbbb");
	t.equal(
		await boots({ newest: "a", b_ok: "1", a_ok: "0" }, 5),
		"aaabb",
		"either way round",
	);
});

t.test("where nothing is good the newest is tried for ever", async (t) => {
	t.equal(await boots({ newest: "a" }, 6, "a"), "aaaaaa");
	t.equal(await boots({ newest: "b" }, 9), "bbbaaabbb");
	t.equal(await boots({}, 5, "a"), "aaaaa", "a grubenv that cannot be read");
});

t.test("a kernel that cannot be read is no end", async (t) => {
	const good = { newest: "b", a_ok: "1", b_ok: "1" };
	t.equal((await boot(good, "ab", "/b/vmlinuz")).slot, "a");
	const none = await boot(good, "ab", "/a/vmlinuz /b/vmlinuz");
	t.match(none.stdout, /reboot/);
});

t.test("the kernel's arguments", async (t) => {
	const { stdout } = await boot({ newest: "b", b_ok: "1" });
	t.match(stdout, /linux \/b\/vmlinuz larder\.slot=b .*panic=10/);
	t.match(stdout, /initrd \/b\/initrd/);
});
