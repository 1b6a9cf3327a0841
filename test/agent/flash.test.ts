import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import {
	checkFlash,
	checkWear,
	flashOf,
	wearOf,
} from "../../src/agent/flash.ts";

t.test("an eMMC says how old it is, a partition of it too", async (t) => {
	const sys = t.testdir();
	const disk = join(sys, "devices/mmc0/block/mmcblk0");
	const part = join(disk, "mmcblk0p3");
	await mkdir(part, { recursive: true });
	await mkdir(join(sys, "dev/block"), { recursive: true });
	await writeFile(join(disk, "size"), "15269888\n");
	await writeFile(join(part, "size"), "4096\n");
	await writeFile(join(part, "partition"), "3\n");
	await symlink(disk, join(sys, "dev/block/179:0"));
	await symlink(part, join(sys, "dev/block/179:3"));
	const look = (device: string) => flashOf("/", sys, device);
	const size = 15269888 * 512;
	t.same(await look("179:0"), { size, wear: undefined }, "an SD card");
	await mkdir(join(disk, "device"));
	await writeFile(join(disk, "device/life_time"), "0x02 0x09\n");
	await writeFile(join(disk, "device/pre_eol_info"), "0x01\n");
	const wear = { used: 90, reserve: "normal" };
	for (const device of ["179:0", "179:3"])
		t.same(await look(device), { size, wear });
	const other = join(sys, "devices/sda");
	await mkdir(other);
	await writeFile(join(other, "size"), "1000\n");
	await symlink(other, join(sys, "dev/block/8:0"));
	t.equal(await look("8:0"), undefined, "no flash");
	t.equal(await look("0:42"), undefined, "no block device");
	t.notOk((await flashOf(sys))?.wear, "this machine's");
	t.same(await checkFlash(join(sys, "none")), []);
});

t.test("what the figures mean", (t) => {
	t.same(wearOf("0x01 0x01\n", "0x01\n"), { used: 10, reserve: "normal" });
	t.same(wearOf("0x0b 0x01", "0x03"), { used: 110, reserve: "urgent" });
	t.same(wearOf("0x08 0x00"), { used: 80, reserve: "normal" });
	t.equal(wearOf("0x00 0x00", "0x01"), undefined, "not defined");
	t.equal(wearOf("?"), undefined);
	const level = (used: number, reserve: "normal" | "warning" = "normal") =>
		checkWear({ used, reserve }).level;
	t.equal(level(70), "ok");
	t.equal(level(80), "warn");
	t.equal(level(10, "warning"), "warn");
	t.match(checkWear({ used: 90, reserve: "normal" }), {
		finding: /90 % of its life/,
		remedy: /write_budget/,
	});
	t.end();
});
