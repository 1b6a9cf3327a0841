import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import t, { type Test } from "tap";
import { admit } from "../../src/swarm/membership.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { makeRegion } from "./region.ts";
import { knock, membershipOf } from "./stranger.ts";

async function listen(t: Test, host: string, port = 0): Promise<Server> {
	const server = createServer((socket) => socket.destroy());
	server.listen(port, host);
	await once(server, "listening");
	t.teardown(() => server.close());
	return server;
}

t.test("TCP is dialled where a neighbour is, and nowhere else", async (t) => {
	const region = await makeRegion(t);
	const keys = [generateKeyPair(), generateKeyPair()];
	// Of two neighbours the one with the higher key dials.
	keys.sort((a, b) => a.publicKey.compare(b.publicKey));
	const box = await region.box("box", { key: keys[1]! });
	const its = await listen(t, "127.0.0.1");
	const { port } = its.address() as AddressInfo;
	const another = await listen(t, "127.0.0.2", port);
	const dialled = Promise.race([
		once(its, "connection").then(() => "its own"),
		once(another, "connection").then(() => "another's"),
	]);
	const friend = await knock(region, box, keys[0]!, "udx", "127.0.0.1");
	t.teardown(() => friend.end());
	const place = { host: "127.0.0.2", port };
	const me = membershipOf(region, region.operator.certify(keys[0]!));
	admit(
		friend.mux,
		"udx",
		{ ...me, tcp: () => place },
		{
			onProven: () => undefined,
			onMember: () => undefined,
			onRefused: (slug) => t.fail(slug),
		},
	);
	t.equal(await dialled, "its own");
});
