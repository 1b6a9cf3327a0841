import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import {
	readTarHeader,
	TAR_END,
	tarHeader,
	tarPadding,
} from "../../src/content/tar.ts";

const entry = { path: "page/index.html", size: 1234 };

t.test("what is written is read, by tar too", (t) => {
	t.same(readTarHeader(tarHeader(entry)), { ok: true, value: entry });
	const dir = t.testdir();
	const content = Buffer.alloc(entry.size, "x");
	const rest = Buffer.alloc(tarPadding(entry.size) + TAR_END);
	const file = join(dir, "a.tar");
	writeFileSync(file, Buffer.concat([tarHeader(entry), content, rest]));
	execFileSync("tar", ["-xf", file, "-C", dir]);
	t.ok(readFileSync(join(dir, entry.path)).equals(content));
	t.same(readTarHeader(Buffer.alloc(512)), { ok: true, value: undefined });
	t.throws(() => tarHeader({ path: "x".repeat(101), size: 0 }), RangeError);
	t.end();
});

/** A header with something changed, and its sum put right. */
function forged(change: (header: Buffer) => void): Buffer {
	const header = tarHeader(entry);
	change(header);
	header.fill(0x20, 148, 156);
	const sum = header.reduce((total, byte) => total + byte, 0);
	header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
	return header;
}

t.test("nothing but files below the folder is believed", (t) => {
	t.ok(readTarHeader(forged(() => undefined)).ok);
	const bad: Record<string, Buffer> = {
		"cut short": tarHeader(entry).subarray(0, 511),
		"a wrong sum": Buffer.from(tarHeader(entry)).fill("z", 0, 1),
		"a way out": forged((header) => header.write("../")),
		"a root": forged((header) => header.write("/")),
		"no name": forged((header) => header.fill(0, 0, 100)),
		"a link": forged((header) => header.write("2", 156)),
		"a folder": forged((header) => header.write("5", 156)),
		"another kind of tar": forged((header) => header.write("ustar  ", 257)),
		"a size below nothing": forged((header) =>
			header.write("-0000000001", 124),
		),
		"a size in another way": forged((header) => header.fill(0xff, 124, 136)),
	};
	for (const [what, header] of Object.entries(bad))
		t.match(readTarHeader(header), { ok: false, reason: "bad-tar" }, what);
	t.end();
});
