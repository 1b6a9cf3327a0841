// A box whose swarm is bound to an interface that gets its address late, in a network of its own.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import t from "tap";
import { run } from "../../scripts/run.ts";
import { issueBox } from "../../src/headend/operator/issue.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import type { Region } from "../../src/wire/ids.ts";
import { temporary } from "./desk.ts";

const BUNDLE = join(
	import.meta.dirname,
	`../../dist/agent/linux-${process.arch}/larder.mjs`,
);
const skip = process.getuid?.() !== 0 && "a network of its own takes root";

t.setTimeout(120_000);

t.test("an interface that gets its address late", { skip }, async (t) => {
	const dir = await temporary(t);
	const operator = await initOperator(join(dir, "operator"), {
		region: "test-1" as Region,
		bootstrap: ["10.9.9.9:49737"],
		brokerUrl: "mqtt://10.9.9.9:1883",
	});
	const box = join(dir, "box");
	await issueBox(operator, {
		...{ serial: "1", dir: box, swarmInterface: "box0", swarmPort: 40_001 },
		...{ tcpPort: 40_002, reach: "direct", socket: join(dir, "s") },
		...{ gatewayPort: 40_003, quota: "1 MiB" },
	});
	const holder = spawn("unshare", ["--net", "sleep", "infinity"]);
	t.teardown(() => holder.kill("SIGKILL"));
	await once(holder, "spawn");
	const within = ["nsenter", `--net=/proc/${holder.pid}/ns/net`];
	// Until it has its own network, this one's would be looked at.
	const own = await readFile("/proc/self/net/dev", "utf8");
	while ((await readFile(`/proc/${holder.pid}/net/dev`, "utf8")) === own);
	const ip = (...args: string[]) =>
		run(within[0] ?? "", [...within.slice(1), "ip", ...args]);
	await ip("link", "set", "lo", "up");
	await ip("link", "add", "box0", "type", "veth", "peer", "name", "net0");
	await ip("link", "set", "net0", "up");
	await ip("link", "set", "box0", "up");

	const start = () => {
		const config = join(box, "larder.toml");
		const args = [...within.slice(1), process.execPath, BUNDLE, "agent"];
		const child = spawn(within[0] ?? "", [...args, "-c", config]);
		t.teardown(() => child.kill("SIGKILL"));
		const said: string[] = [];
		const lines = createInterface({ input: child.stderr });
		const ready = new Promise<void>((resolve) =>
			lines.on("line", (line) => {
				said.push(line);
				if (line.includes('"ready"')) resolve();
			}),
		);
		return { child, said, ready, ended: once(child, "exit") };
	};
	/** Hexadecimal addresses, as the kernel lists them. */
	const bound = async (protocol: "udp" | "tcp", port: number) => {
		const path = `/proc/${holder.pid}/net/${protocol}`;
		const tail = `:${port.toString(16).toUpperCase()}`;
		const rows = (await readFile(path, "utf8")).split("\n");
		const local = rows.map((row) => row.trim().split(/\s+/)[1] ?? "");
		return local.filter((each) => each.endsWith(tail));
	};

	const alone = start();
	await Promise.race([alone.ready, alone.ended]);
	t.match(alone.said.join("\n"), "no address yet");
	t.same(await bound("udp", 40_001), ["0100007F:9C41"]);
	await ip("addr", "add", "10.9.9.1/24", "dev", "box0");
	t.same(await alone.ended, [75, null], "it asks to be started again");

	const there = start();
	await Promise.race([there.ready, there.ended]);
	t.same(await bound("udp", 40_001), ["0109090A:9C41"]);
	t.same(await bound("tcp", 40_002), ["0109090A:9C42"]);
	there.child.kill();
	t.same(await there.ended, [0, null]);
});
