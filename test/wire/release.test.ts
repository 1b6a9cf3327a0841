import t from "tap";
import { compareVersions, version } from "../../src/wire/release.ts";

t.test("a version is three numbers that a shell and a folder can have", (t) => {
	for (const good of ["0.0.0", "0.12.3", "999.999.999"])
		t.ok(version.safeParse(good).success, good);
	for (const bad of ["", "1", "1.2", "1.2.3.4", "01.2.3", "1000.0.0", "1.2.x"])
		t.notOk(version.safeParse(bad).success, bad);
	for (const bad of ["1.2.3-rc1", "../1.2.3", "1.2.3\n", " 1.2.3"])
		t.notOk(version.safeParse(bad).success, JSON.stringify(bad));
	t.end();
});

t.test("versions are in the order of their numbers", (t) => {
	const inOrder = ["0.0.1", "0.0.10", "0.2.0", "0.10.0", "1.0.0", "1.0.999"];
	t.same(inOrder.toReversed().toSorted(compareVersions), inOrder);
	t.equal(compareVersions("1.2.3", "1.2.3"), 0);
	t.end();
});
