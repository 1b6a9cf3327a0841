import { EventEmitter } from "node:events";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { MINUTE, SECOND } from "../../src/base/time.ts";
import { Dialler, type DiallerOptions } from "../../src/swarm/dialler.ts";
import { Exile } from "../../src/swarm/exile.ts";
import { Neighbour } from "../../src/swarm/neighbour.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";

const box = "ab".repeat(32) as BoxId;

/** Time goes by as the test says, and the system's clock was set back by an hour since it began. */
function timeless(t: Test) {
	let passed = 0;
	const began = Date.now();
	let back = 0;
	t.intercept(performance, "now", { value: () => passed });
	t.intercept(Date, "now", { value: () => began + passed - back });
	return {
		pass(ms: number) {
			passed += ms;
		},
		setBack() {
			back += 60 * MINUTE;
		},
	};
}

t.test("prolongs no exile", async (t) => {
	const time = timeless(t);
	const exile = new Exile();
	exile.add(box, "silent");
	time.setBack();
	time.pass(MINUTE - 1);
	t.ok(exile.has(box));
	time.pass(1);
	t.notOk(exile.has(box));
});

t.test("keeps no box from being dialled, and none idle", async (t) => {
	const time = timeless(t);
	const streams: (EventEmitter & { destroy(): void })[] = [];
	const dht = {
		connect() {
			const stream = Object.assign(new EventEmitter(), {
				destroy: () => stream.emit("close"),
			});
			streams.push(stream);
			return stream;
		},
	};
	let neighbour: Neighbour | undefined;
	const dialler = new Dialler({
		dht: dht as unknown as DiallerOptions["dht"],
		keyPair: generateKeyPair(),
		isPointless: () => false,
		lastUsed: () => neighbour?.lastUsed,
		onStream: () => undefined,
		log: silent,
	});
	dialler.dial([box]);
	streams[0]!.destroy();
	time.setBack();
	dialler.dial([box]);
	t.equal(streams.length, 1);
	time.pass(10 * SECOND);
	dialler.dial([box]);
	t.equal(streams.length, 2);
	neighbour = new Neighbour(box);
	time.setBack();
	time.pass(MINUTE);
	dialler.sweep();
	t.ok(dialler.has(box));
	time.pass(SECOND);
	dialler.sweep();
	t.notOk(dialler.has(box));
});
