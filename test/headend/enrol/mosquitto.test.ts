// Boxes without a certificate at Mosquitto, as its configuration is shipped, and the headend that hears them there.
import { randomBytes } from "node:crypto";
import type { IClientOptions } from "mqtt";
import t, { type Test } from "tap";
import { silent } from "../../../src/base/log.ts";
import { SECOND, within } from "../../../src/base/time.ts";
import { Enrolment } from "../../../src/headend/enrol/enrolment.ts";
import { readIssued } from "../../../src/headend/operator/issue.ts";
import { enrolAccess } from "../../../src/headend/tls/access.ts";
import type { Issuance } from "../../../src/wire/enrol.ts";
import { openSealed } from "../../../src/wire/sealed.ts";
import { enrolTopic } from "../../../src/wire/topics.ts";
import { Happenings, heard, newBox } from "../../control/operator.ts";
import { FAST } from "../../control/rig.ts";
import {
	type Client,
	enter,
	newScene,
	startMosquitto,
} from "../tls/shipped.ts";
import { Applicant, openStores, papersIn, SHARED } from "./office.ts";

t.setTimeout(180_000);

const NOT_AUTHORIZED = 0x87;

/** Mosquitto for enrolments, and a headend that is connected to it. */
async function openScene(t: Test) {
	const scene = await newScene(t);
	await startMosquitto(t, scene, "mosquitto-enrol.conf");
	const at = (port: number) => `mqtts://127.0.0.1:${port}`;
	const { operator } = scene;
	const access = await enrolAccess(operator, at(scene.ports.enrolHeadendPort));
	const stores = await openStores(t, operator, silent);
	const lines = new Happenings<string>();
	const log = heard(lines);
	const enrolment = new Enrolment({ ...stores, access, log, timing: FAST });
	t.teardown(() => enrolment.close());
	enrolment.start();
	const isUp = (line: string) => line.startsWith("broker connected");
	await lines.until(() => lines.all.filter(isUp).length === 2);
	t.match(await enrolment.view(), { listener: { connected: true } });
	const { registrar } = enrolment;

	/** Comes in under a client id that anybody may choose. */
	const come = (clientId: string, options: IClientOptions = {}) =>
		enter(t, scene, undefined, { clientId, ...options }, scene.ports.enrolPort);
	return { operator, registrar, come, lines };
}

/** A box at the listener, that waits for its answers. */
class Asking {
	readonly box: Applicant;
	readonly client: Client;

	private constructor(box: Applicant, client: Client) {
		this.box = box;
		this.client = client;
	}

	static async come(
		box: Applicant,
		come: (clientId: string) => Promise<Client>,
	): Promise<Asking> {
		const client = await come(box.id);
		await client.subscribeAsync(enrolTopic(box.id, "answer"), { qos: 1 });
		return new Asking(box, client);
	}

	/** Asks, and gives what is answered. */
	async ask(claim?: Buffer): Promise<Issuance> {
		const { message, nonce } = this.box.ask(claim);
		await this.put(message);
		return await this.answerTo(nonce);
	}

	/** As a box does: asks again until papers come, for what comes in a flood may be lost. */
	async insist(claim?: Buffer): Promise<void> {
		for (;;) {
			const { message, nonce } = this.box.ask(claim);
			await this.put(message);
			const said = within(SECOND, this.answerTo(nonce), undefined);
			if ((await said)?.papers !== undefined) return;
		}
	}

	async put(message: Buffer): Promise<void> {
		const topic = enrolTopic(this.box.id, "request");
		await this.client.publishAsync(topic, message, { qos: 1 });
	}

	async answerTo(nonce: string): Promise<Issuance> {
		let said: Issuance | undefined;
		await this.client.got.until((line) => {
			const [, answer = ""] = line.split(/ (.*)/);
			said = this.box.open(Buffer.from(answer));
			return said.nonce === nonce;
		});
		if (said === undefined) throw new Error("nothing was said");
		return said;
	}
}

t.test("boxes enrol, by their own claim or by a person", async (t) => {
	const { operator, registrar, come } = await openScene(t);
	await registrar.takeStock(["SN-1", "SN-2"]);
	const box = new Applicant(operator, "SN-1");
	const asking = await Asking.come(box, come);
	const { secret } = papersIn(await asking.ask(await box.claim()));
	t.same(
		openSealed(box.pair, Buffer.from(secret, "base64")),
		operator.networkSecret,
	);
	papersIn(await asking.ask());

	const copy = new Applicant(operator, "SN-1");
	const copied = await Asking.come(copy, come);
	t.match(await copied.ask(await copy.claim()), {
		refusal: "pending",
		papers: undefined,
	});
	const wrong = new Applicant(operator, "SN-2");
	const refused = await Asking.come(wrong, come);
	t.equal((await refused.ask(Buffer.alloc(32))).refusal, "bad-claim");
	t.equal((await refused.ask()).refusal, "bad-claim");

	const common = new Applicant(operator, "SN-2", SHARED);
	const waiting = await Asking.come(common, come);
	const { message, nonce } = common.ask(await common.claim());
	await waiting.put(message);
	t.equal((await waiting.answerTo(nonce)).refusal, "pending");
	await registrar.approve(common.id, { name: "ann" });
	const approved = await waiting.client.got.until((line) => {
		const [, answer = ""] = line.split(/ (.*)/);
		return common.open(Buffer.from(answer)).papers !== undefined;
	});
	t.match(approved, enrolTopic(common.id, "answer"));
	t.same(await readIssued(operator.dir, copy.id), undefined);
});

t.test("nobody asks or hears as another box", async (t) => {
	const { operator, registrar, come } = await openScene(t);
	await registrar.takeStock(["SN-1"]);
	const box = new Applicant(operator, "SN-1");
	const claim = await box.claim();
	const thief = await come(newBox());
	const own = enrolTopic(box.id, "request");
	const { message, nonce } = box.ask(claim);
	for (const topic of [own, enrolTopic(box.id, "answer")])
		await t.rejects(thief.publishAsync(topic, message, { qos: 1 }), {
			code: NOT_AUTHORIZED,
		});
	for (const filter of ["#", "larder/v1/enrol/+/down/answer", own])
		await thief.subscribeAsync(filter, { qos: 1 });

	const asking = await Asking.come(box, come);
	await asking.put(message);
	papersIn(await asking.answerTo(nonce));
	t.same(thief.got.all, [], "what was said to the box");

	// Under the box's name, with all that it ever said: what comes back is for the box alone.
	const ended = new Promise<void>((resolve) => {
		asking.client.once("close", () => resolve());
	});
	const replayer = await come(box.id);
	await ended;
	await replayer.subscribeAsync(enrolTopic(box.id, "answer"), { qos: 1 });
	await replayer.publishAsync(own, message, { qos: 1 });
	const line = await replayer.got.until(() => true);
	const again = papersIn(box.open(Buffer.from(line.split(/ (.*)/)[1] ?? "")));
	const secret = Buffer.from(again.secret, "base64");
	t.equal(openSealed(new Applicant(operator, "x").pair, secret), undefined);
	t.match(again.chain, /BEGIN/);
	t.same((await registrar.list(9)).length, 1, "and nobody is let in by it");

	// Its words under another name are nobody's.
	const other = new Applicant(operator, "SN-1");
	const elsewhere = await come(other.id);
	await elsewhere.publishAsync(enrolTopic(other.id, "request"), message, {
		qos: 1,
	});
	const last = await Asking.come(new Applicant(operator, "SN-9"), come);
	await last.ask(await last.box.claim());
	t.match((await registrar.view()).dropped, { "bad-signature": 1 });
});

t.test("garbage does no harm while a box enrols", async (t) => {
	const { operator, registrar, come } = await openScene(t);
	await registrar.takeStock(["SN-1"]);
	const box = new Applicant(operator, "SN-1");
	const claim = await box.claim();
	const asking = await Asking.come(box, come);
	const kinds = [
		(who: Applicant) => who.ask(Buffer.alloc(32)).message,
		(who: Applicant) => box.ask(claim).message.subarray(who.serial.length),
		() => box.ask(claim).message,
		() => randomBytes(12_000),
		() => Buffer.from(`{"payload":"${"A".repeat(10_000)}","signature":"AA=="}`),
	];
	const flood = Array.from({ length: 10 }, async (_, which) => {
		const who = new Applicant(operator, `SN-${which}`);
		const client = await come(who.id);
		const topic = enrolTopic(who.id, "request");
		for (let i = 0; i < 200; i++) {
			const message = kinds[i % kinds.length]?.(who) ?? "";
			await client.publishAsync(topic, message, { qos: 1 });
		}
	});
	await Promise.all([asking.insist(claim), ...flood]);
	const { dropped, waiting } = await registrar.view();
	t.ok((dropped["bad-claim"] ?? 0) > 0);
	t.ok((dropped["not-json"] ?? 0) > 0);
	t.equal(waiting, 0);
	t.match(await registrar.list(9), [{ box: box.id, state: "issued" }]);
	await asking.insist();
});
