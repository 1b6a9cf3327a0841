import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import t from "tap";

t.test("server and client work in one CommonJS file", async (t) => {
	const folder = await mkdtemp(join(tmpdir(), "larder-bundle-"));
	t.teardown(() => rm(folder, { recursive: true }));
	const outfile = join(folder, "ipc.cjs");
	const result = await build({
		stdin: {
			resolveDir: import.meta.dirname,
			contents: `
				import { silent } from "../../src/base/log.ts";
				import { callIpc } from "../../src/ipc/client.ts";
				import { startIpc } from "../../src/ipc/server.ts";
				const socket = process.argv[2];
				const handlers = { status: async () => "bundled", doctor: async () => "" };
				startIpc({ socket, handlers, log: silent }).then(async (server) => {
					console.log(await callIpc(socket, "status", 5000));
					await server.close();
				});`,
		},
		bundle: true,
		platform: "node",
		format: "cjs",
		outfile,
		logLevel: "silent",
	});
	t.same(result.warnings, []);
	// Run elsewhere, so that nothing is found in node_modules.
	const said = execFileSync(process.execPath, [outfile, join(folder, "s")], {
		cwd: folder,
		encoding: "utf8",
	});
	t.equal(said.trim(), "bundled");
});
