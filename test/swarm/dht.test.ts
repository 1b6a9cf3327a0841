import { createSocket } from "node:dgram";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { openDht, openVisitor } from "../../src/swarm/dht.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";

t.test("a port that is taken, an address that is not ours", async (t) => {
	const socket = createSocket("udp4");
	t.teardown(() => socket.close());
	await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
	const { port } = socket.address();
	const bootstrap = [`127.0.0.1:${port}`];
	const open = (host: string) =>
		openDht(
			{
				...{ bootstrap, host, port },
				reach: "direct",
				knownFile: join(t.testdir(), "known.json"),
			},
			generateKeyPair(),
			silent,
		);
	await t.rejects(open("127.0.0.1"), { code: "PORT_TAKEN" });
	const foreign = { code: "CONFIG_INVALID" };
	await t.rejects(open("192.0.2.1"), foreign);
	await t.rejects(openVisitor("192.0.2.1", bootstrap), foreign);
});
