import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";
import { loadConfig } from "../../src/agent/config.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const larder = (...args: string[]) =>
	promisify(execFile)(process.execPath, [MAIN, ...args]);

t.test("what goes into an image is what an agent reads", async (t) => {
	const dir = join(t.testdir(), "operator");
	await larder("init", dir, "--host", "10.1.2.3");
	const { stdout } = await larder(
		...["box-config", "-d", dir, "--reach", "nat", "--quota", "2 GiB"],
	);
	const file = join(t.testdirName, "larder.toml");
	await writeFile(file, stdout);
	t.match(await loadConfig(file), {
		swarm: { bootstrap: [{ host: "10.1.2.3", port: 49737 }], reach: "nat" },
		broker: { url: "mqtt://10.1.2.3:1883" },
		origin: { url: "http://10.1.2.3:8480" },
		store: { quota: { kind: "bytes", bytes: 2 * 1024 ** 3 } },
	});
});
