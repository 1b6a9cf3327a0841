import t from "tap";
import { LarderError } from "../../src/base/errors.ts";
import { silent } from "../../src/base/log.ts";
import { Mail } from "../../src/control/mail.ts";

/** A connection that goes up and down at will and acknowledges when told to. */
function line() {
	const sent: string[] = [];
	const open: PromiseWithResolvers<void>[] = [];
	return {
		connected: true,
		sent,
		publish(_topic: string, payload: Buffer): Promise<void> {
			sent.push(payload.toString());
			const answer = Promise.withResolvers<void>();
			open.push(answer);
			return answer.promise;
		},
		async acknowledge(): Promise<void> {
			open.shift()?.resolve();
			await new Promise(setImmediate);
		},
		async refuse(): Promise<void> {
			open.shift()?.reject(new LarderError("BROKER_FAILED", "refused"));
			await new Promise(setImmediate);
		},
	};
}

const letter = (text: string) => ({ topic: "t", payload: Buffer.from(text) });

t.test("one at a time, urgent ones first, the newest of a slot", async (t) => {
	const session = line();
	const mail = new Mail(session, silent);
	mail.put("a", letter("a1"));
	mail.put("a", letter("a2"));
	mail.put("a", letter("a3"));
	mail.put("b", letter("b1"));
	mail.queue(letter("u1"), 60_000);
	t.same(session.sent, ["a1"]);
	await session.acknowledge();
	await session.acknowledge();
	await session.acknowledge();
	await session.acknowledge();
	t.same(session.sent, ["a1", "u1", "a3", "b1"]);
});

t.test("what was on its way when the line broke is sent again", async (t) => {
	const session = line();
	const mail = new Mail(session, silent);
	mail.put("a", letter("a1"));
	mail.queue(letter("u1"), 60_000);
	session.connected = false;
	await session.refuse();
	mail.put("b", letter("b1"));
	session.connected = true;
	mail.send();
	await session.acknowledge();
	await session.acknowledge();
	await session.acknowledge();
	t.same(session.sent, ["a1", "u1", "a1", "b1"]);
});

t.test("what the broker refuses is not sent again", async (t) => {
	const session = line();
	const mail = new Mail(session, silent);
	mail.put("a", letter("a1"));
	await session.refuse();
	mail.put("a", letter("a2"));
	await session.acknowledge();
	t.same(session.sent, ["a1", "a2"]);
});

t.test("memory is bounded while nothing can be sent", async (t) => {
	const session = line();
	session.connected = false;
	const mail = new Mail(session, silent);
	for (let i = 0; i < 1000; i++) mail.queue(letter(`u${i}`), 60_000);
	mail.queue(letter("late"), -1);
	session.connected = true;
	mail.send();
	for (let i = 0; i < 1000; i++) await session.acknowledge();
	t.equal(session.sent.length, 63);
	t.equal(session.sent.at(-1), "u999");
});

t.test("nothing put in any turn of the loop is left lying", async (t) => {
	for (let ticks = 0; ticks < 12; ticks++) {
		const session = line();
		const mail = new Mail(session, silent);
		mail.put("a", letter("a1"));
		const acknowledged = session.acknowledge();
		for (let tick = 0; tick < ticks; tick++) await undefined;
		mail.put("b", letter("b1"));
		await acknowledged;
		await new Promise(setImmediate);
		t.same(session.sent, ["a1", "b1"], `after ${ticks} ticks`);
	}
});
