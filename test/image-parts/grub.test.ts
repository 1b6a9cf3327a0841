import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";

const run = promisify(execFile);
const CONFIG = join(import.meta.dirname, "../../image/grub.cfg");

/** GRUB's commands, as bash, and so many boots in a row: each has what the one before has saved. */
const GRUB = `
set() { printf -v "\${1%%=*}" %s "\${1#*=}"; }
load_env() { eval "$saved"; }
save_env() { echo "save $1=\${!1}"; }
[() {
	if test "$1" = -s; then [[ " $KERNELS " == *" $2 "* ]]; else builtin [ "$@"; fi
}
linux() { case " $DAMAGED " in *" $1 "*) return 1 ;; esac; echo "linux $*"; }
initrd() { echo "initrd $1"; }
boot() { exit 0; }
sleep() { :; }
reboot() { echo reboot; exit 0; }
config=$(< "$CONFIG")
saved=$DISK
for ((i = 0; i < COUNT; i++)); do
	printed=$(eval "$config")
	echo "$printed"
	while read -r what pair; do
		if test "$what" = save; then saved+=$'\n'$pair; fi
	done <<< "$printed"
done
`;

interface Disk {
	readonly newest?: string;
	readonly a_ok?: string;
	readonly a_tries?: string;
	readonly b_ok?: string;
	readonly b_tries?: string;
}

/** What so many boots print. */
async function boot(disk: Disk, count = 1, kernels = "ab", damaged = "") {
	const { stdout } = await run("bash", ["-c", GRUB], {
		env: {
			...{ CONFIG, COUNT: `${count}`, DAMAGED: damaged },
			DISK: Object.entries(disk)
				.map(([name, value]) => `${name}=${value}`)
				.join("\n"),
			KERNELS: [...kernels].map((slot) => `/${slot}/vmlinuz`).join(" "),
		},
	});
	return stdout;
}

/** Which slots they take. */
async function boots(disk: Disk, count: number, kernels?: string) {
	const printed = await boot(disk, count, kernels);
	const slots = printed.matchAll(/larder\.slot=(.)/g);
	return [...slots].map(([, slot]) => slot).join("");
}

t.test("a good slot is never counted", async (t) => {
	const good = { newest: "a", a_ok: "1" };
	t.notMatch(await boot(good), /save/);
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
	t.match(await boot(good, 1, "ab", "/b/vmlinuz"), /larder\.slot=a/);
	const none = await boot(good, 1, "ab", "/a/vmlinuz /b/vmlinuz");
	t.match(none, /reboot/);
});

t.test("the kernel's arguments", async (t) => {
	const printed = await boot({ newest: "b", b_ok: "1" });
	t.match(printed, /linux \/b\/vmlinuz larder\.slot=b .*panic=10/);
	t.match(printed, /initrd \/b\/initrd/);
});
