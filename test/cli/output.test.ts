import { execFileSync } from "node:child_process";
import t from "tap";
import { formatSpan, table } from "../../src/cli/output.ts";

t.test("columns line up, colours or not", async (t) => {
	t.same(
		table(
			[
				["name", "size", "note"],
				["\u001b[32mä\u001b[39m", "12", ""],
				["longer", "3", "last"],
			],
			[1],
		),
		[
			"name    size  note",
			"\u001b[32mä\u001b[39m         12",
			"longer     3  last",
		],
	);
	t.same(table([]), []);
});

t.test("spans in their two largest parts", async (t) => {
	for (const [ms, text] of [
		[-5, "0 s"],
		[999, "0 s"],
		[12_000, "12 s"],
		[185_000, "3 min 5 s"],
		[3_600_000, "1 h"],
		[3_605_000, "1 h"],
		[90_061_000, "1 d 1 h"],
	] as const)
		t.equal(formatSpan(ms), text);
});

t.test("colour on a terminal only, and never with NO_COLOR", async (t) => {
	const module = new URL("../../src/cli/output.ts", import.meta.url);
	const say = (terminal: boolean, env: Record<string, string>) =>
		execFileSync(
			process.execPath,
			[
				"--input-type=module",
				"-e",
				`process.stdout.isTTY = ${terminal};
				const { print, tint } = await import(${JSON.stringify(module)});
				print(tint("bad", "x"));`,
			],
			{ encoding: "utf8", env: { PATH: process.env["PATH"] ?? "", ...env } },
		);
	t.equal(say(true, {}), "\u001b[31mx\u001b[39m\n");
	t.equal(say(false, {}), "x\n");
	t.equal(say(false, { FORCE_COLOR: "1" }), "x\n");
	t.equal(say(true, { NO_COLOR: "1" }), "x\n");
	t.equal(say(true, { NO_COLOR: "" }), "\u001b[31mx\u001b[39m\n");
});
