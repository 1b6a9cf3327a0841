import { createSocket } from "node:dgram";
import t, { type Test } from "tap";
import { checkBootstrap } from "../../src/agent/bootstrap.ts";
import { makeBootstrap } from "../fixture.ts";
import { makeRegion, meet } from "../swarm/region.ts";

function config(...bootstrap: string[]) {
	const nodes = bootstrap.map((node) => {
		const [host = "", port] = node.split(":");
		return { host, port: Number(port) };
	});
	return { swarm: { host: "127.0.0.1", bootstrap: nodes } };
}

async function node(t: Test): Promise<string> {
	const { node, address } = await makeBootstrap();
	t.teardown(() => node.destroy());
	return address;
}

/** An address at which somebody listens who says nothing. */
async function mute(t: Test): Promise<string> {
	const socket = createSocket("udp4");
	t.teardown(() => socket.close());
	await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
	return `127.0.0.1:${socket.address().port}`;
}

t.test(
	"without an agent: nodes that answer, and nodes that do not",
	async (t) => {
		const there = await node(t);
		const silent = await mute(t);
		const name = "nowhere.invalid:1";
		t.match(await checkBootstrap(config(there)), {
			name: "bootstrap",
			level: "ok",
			finding: "1 of 1 nodes answered",
		});
		const some = await checkBootstrap(config(there, silent, name));
		t.match(some, { level: "warn", remedy: String });
		t.match(some.finding, "1 of 3 nodes answered");
		t.match(some.finding, silent);
		t.match(some.finding, /nowhere\.invalid:1 \(.*ENOTFOUND/);
		const none = await checkBootstrap(config(silent));
		t.match(none, { level: "fail", remedy: "larder bootstrap" });
		t.match(none.finding, `none of 1 nodes answered; silent: ${silent}`);
	},
);

t.test("an address to bind that is not this machine's", async (t) => {
	const { swarm } = config(await mute(t));
	const foreign = { swarm: { ...swarm, host: "192.0.2.1" } };
	t.match(await checkBootstrap(foreign), { level: "fail", remedy: String });
});

t.test("through a running box, which other nodes keep online", async (t) => {
	const region = await makeRegion(t);
	const box = await region.box("one");
	const settings = config(region.address);
	const alone = await checkBootstrap(settings, box.swarm);
	t.match(alone, { level: "ok" });
	await meet(box, await region.box("two"));
	await region.end();
	const known = await checkBootstrap(settings, box.swarm);
	t.match(known, { level: "warn", remedy: String });
	t.match(known.finding, "none of 1 nodes answered");
	t.match(known.finding, "online through 1 other");
});
