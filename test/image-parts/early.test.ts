import { execFile } from "node:child_process";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t, { type Test } from "tap";

const run = promisify(execFile);
const EARLY = join(
	import.meta.dirname,
	"../../image/rootfs/usr/lib/larder-image/early",
);

/** A root before its first boot, on a disk of so many GiB. */
async function open(t: Test, gib: number, files: Record<string, string> = {}) {
	const root = t.testdir({
		data: {},
		etc: { larder: {} },
		efi: { larder: files },
		proc: {
			sys: {
				kernel: { random: { uuid: "01234567-89ab-4def-8123-456789abcdef\n" } },
			},
		},
		sys: {
			class: { block: {} },
			devices: {
				vda: {
					size: `${gib * 2 ** 21}\n`,
					vda4: { uevent: "DEVNAME=vda4\nPARTNAME=larder-data\n" },
				},
			},
		},
	});
	await symlink("../../devices/vda/vda4", join(root, "sys/class/block/vda4"));
	const read = (path: string) => readFile(join(root, path), "utf8");
	return { root, read, early: () => run("sh", [EARLY, root]) };
}

t.test("a first boot makes a machine id, and each keeps it", async (t) => {
	const { root, read, early } = await open(t, 8);
	await early();
	const id = "0123456789ab4def8123456789abcdef\n";
	t.equal(await read("etc/machine-id"), id);
	t.equal(await read("data/machine-id"), id);
	t.equal(await read("etc/hostname"), "larder-0123456789ab\n");
	await writeFile(
		join(root, "proc/sys/kernel/random/uuid"),
		"ffffffff-ffff-4fff-8fff-ffffffffffff\n",
	);
	await early();
	t.equal(await read("etc/machine-id"), id);
});

t.test("how much of the disk is ours is the disk's size to say", async (t) => {
	const small = await open(t, 8);
	await small.early();
	t.match(
		await small.read("etc/larder/larder.toml.d/00-profile.toml"),
		/\[store\]\nquota = "2 GiB"/,
	);
	const large = await open(t, 1000);
	await large.early();
	await t.rejects(large.read("etc/larder/larder.toml.d/00-profile.toml"));
});

t.test("what the operator put onto the boot partition", async (t) => {
	const { root, read, early } = await open(t, 8, {
		"enrol.json": "{}",
		"operator.toml": "# mine\n",
		serial: "SN 4711/x\r\n",
	});
	await early();
	t.equal(await read("etc/larder/enrol.json"), "{}");
	t.equal(
		(await stat(join(root, "etc/larder/enrol.json"))).mode & 0o777,
		0o600,
	);
	t.equal(await read("etc/larder/larder.toml.d/operator.toml"), "# mine\n");
	t.equal(await read("etc/hostname"), "larder-sn-4711-x\n");
	t.match(await read("etc/hosts"), /127\.0\.1\.1 larder-sn-4711-x/);
});

t.test("the serial number of the machine", async (t) => {
	const { root, read, early } = await open(t, 8);
	const dmi = join(root, "sys/class/dmi/id");
	await mkdir(dmi, { recursive: true });
	await writeFile(join(dmi, "product_serial"), "Not Specified\n");
	await early();
	t.equal(await read("etc/hostname"), "larder-0123456789ab\n");
	await mkdir(join(root, "proc/device-tree"));
	await writeFile(
		join(root, "proc/device-tree/serial-number"),
		"10000000ABCD\0",
	);
	await early();
	t.equal(await read("etc/hostname"), "larder-10000000abcd\n");
});
