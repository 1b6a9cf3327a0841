import t from "tap";
import { TapReader } from "../../scripts/tap.ts";

function read(tap: string) {
	const said: string[] = [];
	const reader = new TapReader((line) => said.push(line));
	for (const line of tap.split("\n")) reader.line(line);
	return { said, tally: reader.tally, failures: reader.failures };
}

t.test("counts tests, not assertions and not files", async (t) => {
	const { tally, failures } = read(`TAP version 14
# Subtest: test/a.test.ts
    # Subtest: one
        ok 1 - equal
        ok 2 - equal
        1..2
    ok 1 - one # time=3ms
    
    ok 2 - bare
    ok 3 - later # SKIP
    1..3
ok 1 - test/a.test.ts # time=9ms

1..1`);
	t.same(tally, { passed: 2, failed: 0, skipped: 1 });
	t.same(failures, []);
});

t.test("shows a failure once, where it is and why", async (t) => {
	const { said, tally, failures } = read(`# Subtest: test/a.test.ts
    # Subtest: outer
        # Subtest: inner
            ok 1 - fine
            not ok 2 - must be three
              ---
              diff: |
                -3
                not ok 9 - a line of the details
              ...
            
            1..2
        not ok 1 - inner # time=1ms
          ---
          at: elsewhere
          ...
        
        1..1
    not ok 1 - outer # time=2ms
    
    # Subtest: next
        ok 1 - fine
        1..1
    ok 2 - next # time=1ms
    
    1..2
not ok 1 - test/a.test.ts # time=5ms`);
	t.same(tally, { passed: 1, failed: 1, skipped: 0 });
	t.same(failures, ["test/a.test.ts > outer > inner > must be three"]);
	t.match(said.join("\n"), /diff: \|\n {6}-3/);
	t.notMatch(said.join("\n"), "elsewhere");
});

t.test("a file that dies without a failing test is one failure", async (t) => {
	const { said, tally, failures } = read(`# Subtest: test/a.test.ts
    # Subtest: begun
        ok 1 - fine
not ok 1 - test/a.test.ts # time=5ms
  ---
  signal: SIGSEGV
  ...

# Subtest: test/b.test.ts
    ok 1 - fine
    1..1
ok 2 - test/b.test.ts # time=5ms`);
	t.same(tally, { passed: 1, failed: 1, skipped: 0 });
	t.same(failures, ["test/a.test.ts"]);
	t.match(said.join("\n"), "signal: SIGSEGV");
});

t.test("of a file that is run again, the last run counts", async (t) => {
	const run = (ok: string) => `# Subtest: test/a.test.ts
    ${ok} 1 - bare
    ok 2 - next
    1..2
${ok} 1 - test/a.test.ts # time=5ms`;
	const { tally, failures } = read(`${run("not ok")}\n${run("ok")}`);
	t.same(tally, { passed: 2, failed: 0, skipped: 0 });
	t.same(failures, []);
	const twice = read(`${run("ok")}\n${run("not ok")}`);
	t.same(twice.tally, { passed: 1, failed: 1, skipped: 0 });
	t.same(twice.failures, ["test/a.test.ts > bare"]);
});

t.test("a file that runs out of time is one failure", async (t) => {
	const late = "not ok 2 - timeout!\n  ---\n  expired: tap\n  ...";
	const file = (ok: string) => `# Subtest: test/a.test.ts
    ${ok} 1 - bare
    1..1
${ok} 1 - test/a.test.ts # time=5ms`;
	const { tally, failures } = read(`${file("not ok")}\n${late}`);
	t.match(tally, { failed: 1 });
	t.same(failures, ["test/a.test.ts > bare"]);
	t.match(read(`${file("not ok")}\n${late}\n${file("ok")}`).failures, []);
	t.same(read(`${file("ok")}\n${late}`).failures, ["timeout!"], "if alone");
});
