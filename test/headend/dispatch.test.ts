import { connectAsync } from "mqtt";
import t, { type Test } from "tap";
import { silent } from "../../src/base/log.ts";
import { startBroker } from "../../src/headend/control/broker.ts";
import { Dispatch, type Retained } from "../../src/headend/control/dispatch.ts";
import { type Attestation, signAttestation } from "../../src/wire/attest.ts";
import type { BoxId, NetworkId } from "../../src/wire/ids.ts";
import { encodeMessage } from "../../src/wire/json.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import type { State } from "../../src/wire/reports.ts";
import {
	downTopic,
	headTopic,
	qualityTopic,
	upTopic,
} from "../../src/wire/topics.ts";
import {
	Happenings,
	heard,
	newBox,
	newTitle,
	REGION,
} from "../control/operator.ts";
import { FAST, NETWORK, openDesk } from "../control/rig.ts";

async function setUp(t: Test) {
	const broker = await startBroker({ host: "127.0.0.1", port: 0, log: silent });
	t.teardown(() => broker.close());
	const url = `mqtt://127.0.0.1:${broker.port}`;
	const raw = await connectAsync(url, { clientId: "headend-raw" });
	t.teardown(() => raw.endAsync(true));
	return { url, raw };
}

const box = newBox();
const birth: State = {
	session: "a".repeat(16),
	online: true,
	since: 1000,
	box,
	region: REGION,
	version: "1",
	power: "active",
	reach: "direct",
};

t.test("states: which goodbye is believed", async (t) => {
	const { url, raw } = await setUp(t);
	const desk = await openDesk(t, url);
	const b = "b".repeat(16);
	const cases: readonly [said: Partial<State>, believed: boolean][] = [
		[{ online: false, since: 5 }, true],
		[{}, true],
		[{ online: false, session: b, since: 2000 }, false],
		[{ online: false, since: 999 }, false],
		[{ since: 2000 }, true],
		[{ online: false, since: 1000 }, false],
		[{ online: false, since: 2000 }, true],
		[{ session: b, since: 3 }, true],
		[{ online: false, since: 2000 }, false],
		[{ online: false, session: b, since: 3 }, true],
	];
	const expected: State[] = [];
	for (const [changes, believed] of cases) {
		const said = { ...birth, ...changes };
		if (believed) expected.push(said);
		await raw.publishAsync(upTopic(box, "state"), encodeMessage(said), {
			qos: 1,
		});
	}
	await desk.said.until(() => desk.said.all.length === expected.length);
	t.same(
		desk.said.all.map(({ it }) => it),
		expected,
	);
	t.equal(desk.dispatch.dropped.get("late-will"), 4);
});

t.test("what is not as it should be is dropped and counted", async (t) => {
	const { url, raw } = await setUp(t);
	const stranger = newBox();
	const out = newBox();
	const lines = new Happenings<string>();
	const said: unknown[] = [];
	const say = (_box: unknown, it: unknown) => {
		said.push(it);
		throw new Error("a handler that fails ends nothing");
	};
	const dispatch = new Dispatch({
		url,
		name: "one",
		network: NETWORK,
		region: REGION,
		knows: (id) => id !== stranger,
		isRevoked: (id) => id === out,
		retained: () => [],
		log: heard(lines),
		timing: FAST,
		handlers: {
			onState: say,
			onReported: say,
			onFill: say,
			onRequest: say,
			onResponse: say,
			onAttested: say,
			onQuality: (it) => void said.push(it),
			onHead() {},
		},
	});
	t.teardown(() => dispatch.close());
	dispatch.start();
	await lines.until(() => dispatch.connected);
	const send = (topic: string, value: unknown) =>
		raw.publishAsync(
			topic,
			typeof value === "string" ? value : encodeMessage(value),
			{ qos: 1 },
		);
	await send(upTopic(box, "fill"), "garbage");
	await send(upTopic(box, "reported"), { epoch: -1 });
	await send(upTopic(box, "state"), { ...birth, box: stranger });
	await send(upTopic(stranger, "state"), { ...birth, box: stranger });
	await send(upTopic(out, "state"), { ...birth, box: out });
	await send(upTopic(out, "fill"), "garbage");
	await send(upTopic(box, "state"), { ...birth, region: "south-1" });
	await send(upTopic(box, "reported"), "");
	const pair = generateKeyPair();
	const signer = pair.publicKey.toString("hex") as BoxId;
	const word: Attestation = {
		network: NETWORK,
		box: signer,
		title: newTitle(),
		ordered: 1,
		bans: { epoch: 1, version: 1 },
		state: "deleted",
		at: 2,
	};
	const other = generateKeyPair();
	await send(upTopic(signer, "attest"), [signAttestation(other, word)]);
	await send(upTopic(box, "attest"), [signAttestation(pair, word)]);
	await send(upTopic(signer, "attest"), [
		signAttestation(pair, { ...word, network: "1".repeat(64) as NetworkId }),
	]);
	await send(upTopic(signer, "attest"), [
		signAttestation(pair, { ...word, box }),
	]);
	const film = {
		...{ id: "0".repeat(16), title: newTitle(), starts: [1], played: 1 },
		...{ stalls: 0, stalled: 0, seeks: 0, switches: 0, bitrate: 1 },
		...{ disk: 0, neighbours: 0, origin: 0, misses: {} },
	};
	const topic = qualityTopic(REGION);
	await send(topic, "garbage");
	await send(topic, { watched: [{ ...film, played: -1 }] });
	await send(topic, { watched: [{ ...film, starts: new Array(65).fill(1) }] });
	await send(topic, { watched: new Array(33).fill(film) });
	await send(topic, { watched: [film], more: "x".repeat(48 * 1024) });
	await send(topic, { watched: [film] });
	const response = { id: "x", session: birth.session, ok: true };
	await send(upTopic(box, "response"), response);
	await send(upTopic(box, "response"), response);
	await lines.until(() => said.length === 3);
	t.same(said, [{ watched: [film] }, response, response]);
	t.same(Object.fromEntries(dispatch.dropped), {
		"not-json": 2,
		"bad-schema": 4,
		"too-large": 1,
		"wrong-box": 2,
		"unknown-box": 1,
		revoked: 2,
		"wrong-region": 1,
		"bad-signature": 2,
		"wrong-network": 1,
	});
});

t.test("what is published while topics are restored stays", async (t) => {
	const { url, raw } = await setUp(t);
	const got = new Happenings<string>();
	raw.on("message", (topic, payload) =>
		got.add(`${topic.split("/").at(-1)} ${payload}`),
	);
	await raw.subscribeAsync("larder/v1/#", { qos: 1 });
	const lines = new Happenings<string>();
	const dispatch: Dispatch = new Dispatch({
		url,
		name: "one",
		network: NETWORK,
		region: REGION,
		knows: () => true,
		isRevoked: () => false,
		async *retained(): AsyncGenerator<Retained> {
			await dispatch.desired(box, Buffer.from("new"));
			yield [downTopic(box, "desired"), Buffer.from("old")];
			yield [headTopic(REGION), Buffer.from("head")];
		},
		log: heard(lines),
		timing: FAST,
		handlers: {
			onState() {},
			onReported() {},
			onFill() {},
			onRequest() {},
			onResponse() {},
			onAttested() {},
			onQuality() {},
			onHead() {},
		},
	});
	t.teardown(() => dispatch.close());
	await dispatch.desired(box, Buffer.from("left to `retained`"));
	dispatch.start();
	await got.until((line) => line === "head head");
	t.same(got.all, ["desired new", "head head"]);
});
