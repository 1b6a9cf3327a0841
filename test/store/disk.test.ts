import t from "tap";
import { silent } from "../../src/base/log.ts";
import { Disk } from "../../src/store/disk.ts";

t.test("what is worst of a disk is what it is said to be", async (t) => {
	const errors: unknown[] = [];
	const error = (_: object, line?: string) => void errors.push(line);
	const disk = new Disk({ folder: t.testdir(), log: { ...silent, error } });
	t.teardown(() => disk.close());
	const readOnly = Object.assign(new Error("no"), { code: "EROFS" });
	disk.failed(readOnly);
	t.equal(disk.state, "read-only");
	// A file system that meets errors takes no writes: each shard that is lost cannot be removed either.
	for (const spot of ["a", "b", "c", "d", "e"]) {
		disk.lost("unreadable", spot);
		disk.failed(readOnly);
	}
	t.equal(disk.state, "failing");
	t.equal(errors.length, 2, "each is said once");
});
