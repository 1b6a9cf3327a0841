import { connectAsync } from "mqtt";
import t, { type Test } from "tap";
import { DAY } from "../../src/base/time.ts";
import { Enrolling } from "../../src/control/enrolling.ts";
import type { Fresh } from "../../src/control/issuances.ts";
import { readEnrolment } from "../../src/wire/enrol.ts";
import { seal } from "../../src/wire/envelope.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { enrolTopic } from "../../src/wire/topics.ts";
import { mosquitto } from "./brokers.ts";
import { Happenings, heard, Operator } from "./operator.ts";
import { FAST } from "./rig.ts";

/** A box at the enrolment listener, and who has that broker. */
async function scene(t: Test) {
	const broker = await mosquitto();
	await broker.start();
	t.teardown(() => broker.stop());
	const operator = new Operator();
	const { network } = operator.trust;
	const keyPair = generateKeyPair();
	const box = keyPair.publicKey.toString("hex") as BoxId;
	const nonces = new Happenings<string>();
	const client = await connectAsync(broker.url, { clientId: "broker" });
	t.teardown(() => client.endAsync());
	client.on("message", (_topic, payload) => {
		const read = readEnrolment(payload, box);
		if (read.ok) nonces.add(read.value.asked.nonce);
	});
	await client.subscribeAsync(enrolTopic(box, "request"), { qos: 1 });
	const say = (bytes: Buffer) =>
		client.publishAsync(enrolTopic(box, "answer"), bytes, { qos: 1 });
	const issuer = operator.signer("issuer");
	const word = (nonce: string, at: number, signer = issuer) =>
		seal(signer, { network, box, nonce, at });
	const answers = new Happenings<Fresh>();
	const lines = new Happenings<string>();
	/** The box asks; given back is what ends it. */
	const ask = () => {
		const way = new Enrolling({
			url: broker.url,
			identity: { box, trust: operator.trust },
			// Without TLS there is nobody to vouch.
			ca: "",
			introduction: { keyPair, serial: "1" },
			onAnswer: answers.add,
			log: heard(lines),
			timing: { ...FAST, again: 1e6 },
		});
		way.start();
		return () => way.close();
	};
	return { operator, nonces, say, word, ask, answers, lines };
}

t.test("an answer to an earlier question is not taken for this", async (t) => {
	const { nonces, say, word, ask, answers } = await scene(t);
	const now = Date.now();
	const stop = ask();
	const earlier = await nonces.until(() => true);
	await stop();
	t.teardown(ask());
	const nonce = await nonces.until((one) => one !== earlier);
	await say(word(earlier, now - DAY));
	await say(word("0".repeat(32), now - DAY));
	await say(word(nonce, now));
	await answers.until(() => true);
	t.same(
		answers.all.map(({ said }) => [said.nonce, said.at]),
		[[nonce, now]],
	);
});

t.test("who has the broker does not fill the log", async (t) => {
	const { operator, nonces, say, word, ask, answers, lines } = await scene(t);
	t.teardown(ask());
	const nonce = await nonces.until(() => true);
	for (let i = 0; i < 50; i++) {
		await say(Buffer.from(`{${i}`));
		await say(word(nonce, Date.now(), operator.signer("catalog")));
	}
	await say(word(nonce, Date.now()));
	await answers.until(() => true);
	const told = lines.all.filter((line) => line.includes("refused"));
	t.equal(told.length, 2, "one for each reason");
});
