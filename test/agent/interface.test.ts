import t from "tap";
import type { Config } from "../../src/agent/config.ts";
import {
	boundTo,
	checkInterface,
	InterfaceWatch,
} from "../../src/agent/interface.ts";
import { silent } from "../../src/base/log.ts";

function on(name: string | undefined, host = "0.0.0.0"): Config {
	// Nothing else of it is looked at.
	return { swarm: { interface: name, host } } as Config;
}

t.test("an interface's address is bound", async (t) => {
	const none = on(undefined, "10.0.0.9");
	t.equal(await boundTo(none, silent), none);
	t.match(await boundTo(on("lo"), silent), { swarm: { host: "127.0.0.1" } });
	await t.rejects(boundTo(on("nosuch0"), silent), {
		code: "CONFIG_INVALID",
		message: /swarm.interface: this machine has no nosuch0; there are .*lo/,
	});
});

t.test("one without an address is waited for, and then alone", async (t) => {
	let looks = 0;
	const find = () => (++looks < 3 ? undefined : "10.0.0.5");
	const late = await boundTo(on("lo"), silent, { find, patience: 100 });
	t.equal(late.swarm.host, looks >= 3 ? "10.0.0.5" : "127.0.0.1");
	const never = () => undefined;
	const alone = await boundTo(on("lo"), silent, { find: never, patience: 1 });
	t.equal(alone.swarm.host, "127.0.0.1");
	const [check] = checkInterface(alone.swarm, never);
	t.match(check, { level: "fail", finding: /lo has no IPv4 address/ });
	t.match(
		checkInterface(alone.swarm, () => "10.0.0.5"),
		[{ level: "ok" }],
	);
	t.match(
		checkInterface(on("lo", "10.0.0.5").swarm, () => "10.0.0.5"),
		[{ level: "ok", finding: /at 10.0.0.5 of lo/ }],
	);
	t.same(checkInterface(on(undefined).swarm), []);
});

t.test("another address is taken up by another start", async (t) => {
	let at: string | undefined = "10.0.0.5";
	let trial = true;
	let restarts = 0;
	const watch = new InterfaceWatch({
		swarm: on("eth0", "10.0.0.5").swarm,
		isOnTrial: async () => trial,
		restart: () => restarts++,
		find: () => at,
		log: silent,
	});
	t.teardown(() => watch.close());
	const after = async (address: string | undefined, looks = 1) => {
		at = address;
		for (let look = 0; look < looks; look++) await watch.look();
		return restarts;
	};
	t.equal(await after("10.0.0.5", 3), 0);
	t.equal(await after(undefined, 3), 0, "it may come back");
	t.equal(await after("10.0.0.5", 3), 0);
	t.equal(await after("10.0.0.6"), 0, "it may not stay");
	t.equal(await after("10.0.0.7"), 0);
	t.equal(await after("10.0.0.7", 3), 0, "a release is on trial");
	trial = false;
	t.equal(await after("10.0.0.7", 3), 1, "once");
});
