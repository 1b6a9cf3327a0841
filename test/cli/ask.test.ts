import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { startIpc } from "../../src/ipc/server.ts";
import { silentAgent } from "../ipc/silent.ts";

const folder = await mkdtemp(join(tmpdir(), "larder-ask-"));
t.teardown(() => rm(folder, { recursive: true }));
const socket = join(folder, "s");
let given: unknown = {
	base: "http://127.0.0.1:8090/t/secret",
	token: "secret",
};
const server = await startIpc({
	socket,
	handlers: {
		...silentAgent,
		metrics: async () => ({ text: "# HELP a b\na 1\n" }),
		"player-token": async () => given,
	},
	log: silent,
});
t.teardown(() => server.close());

const MAIN = join(import.meta.dirname, "../../src/cli/box.ts");
const run = promisify(execFile);

async function larder(...args: string[]): Promise<string> {
	const all = [MAIN, ...args, "--socket", socket];
	return (await run(process.execPath, all)).stdout;
}

t.test("the figures, as they are scraped", async (t) => {
	t.equal(await larder("metrics"), "# HELP a b\na 1\n");
});

t.test("what players' addresses start with", async (t) => {
	t.equal(await larder("player-token"), "http://127.0.0.1:8090/t/secret\n");
	t.same(JSON.parse(await larder("player-token", "--json")), given);
	given = { base: 1 };
	await t.rejects(larder("player-token"), {
		code: 1,
		stderr: /player-token does not fit/,
	});
});
