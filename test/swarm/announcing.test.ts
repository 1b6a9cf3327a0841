// When a box is announced anew. That 250 nodes that come one after the other then all find each other, and else one in fifty is not found,
// takes a minute to see: `npm run bench -- region` meets one holder alone.
import { EventEmitter } from "node:events";
import { mock } from "node:test";
import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import { Announcing } from "../../src/swarm/announcing.ts";

t.test("a region that grows", async (t) => {
	mock.timers.enable({ apis: ["setTimeout"] });
	t.teardown(() => mock.timers.reset());
	const nodes: { host: string; port: number }[] = [];
	const dht = Object.assign(new EventEmitter(), { toArray: () => nodes });
	const grow = (count: number) => {
		for (let i = 0; i < count; i++) {
			nodes.push({ host: "127.0.0.1", port: nodes.length });
			dht.emit("add-node");
		}
	};
	let announced = 0;
	const refresh = () => {
		announced++;
	};
	grow(20);
	const server = Object.assign(new EventEmitter(), { refresh });
	const announcing = new Announcing(dht as never, server);
	grow(4);
	mock.timers.tick(10 * SECOND);
	t.equal(announced, 0, "a few more change nothing");
	grow(20);
	mock.timers.tick(10 * SECOND);
	t.equal(announced, 1, "once for all that came");
	grow(10);
	mock.timers.tick(10 * SECOND);
	t.equal(announced, 1);
	grow(2);
	announcing.close();
	mock.timers.tick(10 * SECOND);
	grow(100);
	mock.timers.tick(10 * SECOND);
	t.equal(announced, 1, "not when it is closed");
});
