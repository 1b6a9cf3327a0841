import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import t from "tap";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const larder = (...args: string[]) =>
	promisify(execFile)(process.execPath, [MAIN, ...args]);

t.test("from nothing to a broker's folder", async (t) => {
	const dir = join(t.testdir(), "operator");
	await larder("init", dir, "--host", "10.1.2.3");
	const hosts = ["--host", "broker.example", "--host", "localhost"];
	const config = ["broker", "config", "-d", dir];
	const { stdout } = await larder(...config, ...hosts, "--port", "9883");
	t.match(stdout, "certificate for 10.1.2.3, broker.example, localhost until");
	t.match(stdout, `mosquitto -c ${dir}/broker/mosquitto.conf`);
	t.match(stdout, "next: have broker.url in operator.toml begin with mqtts://");
	t.match(stdout, "next: set reload under [broker]");
	const read = (name: string) => readFile(join(dir, "broker", name), "utf8");
	t.match(await read("mosquitto.conf"), /^listener 9883$/m);
	t.match(await read("mosquitto-enrol.conf"), /^listener 8884$/m);
	const { subjectAltName } = new X509Certificate(await read("server.pem"));
	t.match(subjectAltName, "IP Address:10.1.2.3, DNS:broker.example");
});

t.test("without TLS the embedded broker stays on loopback", async (t) => {
	await t.rejects(larder("broker", "--host", "0.0.0.0", "--port", "0"), {
		message: /CONFIG_INVALID/,
	});
	await t.rejects(larder("broker", "--tls", "-d", t.testdir()), {
		message: /OPERATOR_MISSING/,
	});
});
