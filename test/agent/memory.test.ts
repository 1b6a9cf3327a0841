import t from "tap";
import { anonymous, MemoryGuard, memoryLimit } from "../../src/agent/memory.ts";
import { silent } from "../../src/base/log.ts";
import { MINUTE, SECOND } from "../../src/base/time.ts";
import { MiB } from "../../src/base/units.ts";

t.test("neighbours are closed before the limit is reached", async (t) => {
	const time = { now: 0 };
	let used = 100 * MiB;
	const allowed: (number | undefined)[] = [];
	const neighbours = { size: 64 };
	const guard = new MemoryGuard({
		limit: 192 * MiB,
		used: () => used,
		swarm: {
			neighbours,
			allow(most) {
				allowed.push(most);
				neighbours.size = most ?? 64;
			},
		},
		log: silent,
		now: () => time.now,
	});
	t.teardown(() => guard.close());
	const after = (wait: number) => {
		time.now += wait;
		guard.look();
		return allowed.at(-1);
	};
	t.equal(after(SECOND), undefined);
	used = 170 * MiB;
	t.equal(after(SECOND), 48);
	t.equal(after(SECOND), 48, "what was given up is waited for");
	t.equal(after(2 * SECOND), 36);
	for (let round = 0; round < 12; round++) after(3 * SECOND);
	t.equal(allowed.at(-1), 4, "somebody stays");
	used = 150 * MiB;
	t.equal(after(MINUTE), 4, "less is not enough less");
	used = 130 * MiB;
	t.equal(after(3 * SECOND), 4);
	t.equal(after(59 * SECOND), 4);
	t.equal(after(SECOND), undefined, "a minute later all may come");
});

t.test("the limit is the unit's, or what a receiver spends at most", (t) => {
	const machine = (files: Record<string, string>) => (path: string) => {
		const text = files[path];
		if (text === undefined) throw new Error("ENOENT");
		return text;
	};
	const group = { "/proc/self/cgroup": "1:name=x:/\n0::/a/b.service\n" };
	const max = "/sys/fs/cgroup/a/b.service/memory.max";
	t.equal(memoryLimit(machine({ ...group, [max]: "134217728\n" })), 128 * MiB);
	t.equal(memoryLimit(machine({ ...group, [max]: "max\n" })), 192 * MiB);
	t.equal(memoryLimit(machine({ ...group, [max]: "9999999999" })), 192 * MiB);
	t.equal(memoryLimit(machine(group)), 192 * MiB);
	t.equal(memoryLimit(machine({})), 192 * MiB);
	t.end();
});

t.test("what is measured is what this process takes", async (t) => {
	const before = anonymous();
	const filled = Buffer.alloc(64 * MiB, 1);
	t.ok(anonymous() - before > 60 * MiB);
	t.equal(filled.at(-1), 1);
});
