// Whatever comes over MQTT where boxes enrol: mutated messages on both topics, up to a real headend and down to a real agent that
// waits to be let in, while others are. `npm run fuzz` sends 20,000 on each, `npm test` a tenth of them.
import { createHmac } from "node:crypto";
import { appendFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { LarderError } from "../../../src/base/errors.ts";
import { MiB } from "../../../src/base/units.ts";
import { DeskProcess } from "../../../src/desk/process.ts";
import { freeSettings } from "../../../src/desk/settings.ts";
import { HeadendClient } from "../../../src/headend/api/client.ts";
import { HEADEND } from "../../../src/headend/control/broker.ts";
import { Budget } from "../../../src/headend/enrol/budget.ts";
import {
	initOperator,
	openOperator,
} from "../../../src/headend/operator/operator.ts";
import { embeddedTls } from "../../../src/headend/tls/broker.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import { encodeEnrolment, enrolFile } from "../../../src/wire/enrol.ts";
import { pack } from "../../../src/wire/envelope.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { encodeMessage } from "../../../src/wire/json.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import { enrolTopic } from "../../../src/wire/topics.ts";
import type { Mutator } from "../../mutate.ts";
import { logOf, MAIN, openDesk, PATIENCE, poll, temporary } from "../desk.ts";
import { hostileBroker } from "./broker.ts";
import {
	BATCH,
	HEAP,
	MESSAGES,
	pour,
	signed,
	spoilt,
	type Target,
} from "./pour.ts";
import { openFactory, order } from "./secure.ts";

/** So many requests a second a headend reads, and some to spare for the boxes that are to be let in; the others it drops unread. */
const READ = 400;
/** In a log: one for each second of a flood, and what is said anyway. */
const LINES = 250;

t.setTimeout(600_000);

process.env["NODE_OPTIONS"] = HEAP;
const dir = join(await temporary(t), "desk");
const broker = await hostileBroker(t);
const settings = await freeSettings({ copies: 1 });
const made = await initOperator(join(dir, "operator"), {
	...settings,
	brokerUrl: broker.url,
});
/** It has the certificate and key of the operator's: nothing tells it from an honest one. */
const listener = await hostileBroker(t, await embeddedTls(made, "127.0.0.1"));
await appendFile(
	join(made.dir, "operator.toml"),
	`\n[enrol]\nurl = "${listener.url}"\nheadend_url = "${listener.url}"\n`,
);
const operator = await openOperator(made.dir);
const desk = await openDesk(t, {
	...{ dir, copies: 1 },
	prepared: { operator, access: { url: broker.url } },
});
const headend = await HeadendClient.open(operator.dir);
const LISTED = ["listed-1", "listed-2"] as const;
const serials = [...LISTED, "newcomer", "ghost"];
const factory = await openFactory(t, desk, serials, LISTED);

/** Its key is in no box: what is said in its name is mutated past its signature and its claim. */
const ghost = generateKeyPair();
const ghostId = ghost.publicKey.toString("hex") as BoxId;
await factory.flash("ghost");
const claim = await claimOf("ghost");
const ASKED = {
	...{ network: operator.network, nonce: "0".repeat(32) },
	...{ serial: "ghost", batch: "spring" },
};
/** Another operator's network. */
const OTHER = "e".repeat(operator.network.length);

const waiting = await factory.flash("newcomer");
const newcomer = new DeskProcess(
	"newcomer",
	[MAIN, "agent", "-c", join(waiting.dir, "larder.toml")],
	join(dir, "logs", "newcomer.log"),
);
t.teardown(() => newcomer.stop());
const { box: newcomerId } = await poll("the newcomer waits", async () =>
	(await headend.enrolments()).find(({ serial }) => serial === "newcomer"),
);

t.test(`${MESSAGES} requests up to a headend`, async (t) => {
	const turns = new Budget(READ / BATCH, 1);
	const target: Target = {
		client: `${HEADEND}${operator.network.slice(0, 16)}-up`,
		process: { process: desk.headend },
		slack: 320 * MiB,
		look: (sent) =>
			poll("it reads more", async () => {
				// Some come to more than nothing, and a person is asked.
				const isRead = (await cameToNothing()) > sent - BATCH;
				return isRead && turns.take(Date.now());
			}),
		topics: [
			{
				topic: enrolTopic(ghostId, "request"),
				right: () => [
					encodeEnrolment(ASKED, ghost, claim),
					...passed("request"),
				],
				forge: asked,
			},
		],
	};
	await pour(t, "enrol up", listener, target, {
		during: () => letIn(LISTED[0]),
		after: () => headend.boxes(),
	});
	const { dropped } = await headend.enrolment();
	for (const slug of [
		...["not-json", "bad-schema", "bad-signature", "wrong-box"],
		...["wrong-network", "bad-claim", "too-often"],
	])
		t.ok((dropped[slug] ?? 0) > 0, `${slug}: ${dropped[slug]} dropped`);
	t.notOk(dropped["busy"], "each of them was read");
	const none = await cameToNothing();
	t.ok(none > MESSAGES * 0.9, `${none} came to nothing`);
});

t.test(`${MESSAGES} answers down to a box that waits`, async (t) => {
	const target: Target = {
		client: newcomerId,
		process: { process: newcomer },
		slack: 96 * MiB,
		look: stillWaits,
		topics: [
			{
				topic: enrolTopic(newcomerId, "answer"),
				right: () => passed("answer"),
				forge: signed(operator.signers.issuer, { box: ghostId }),
			},
		],
	};
	await pour(t, "enrol down", listener, target, {
		during: () => letIn(LISTED[1]),
		after: async () => {
			await order(t, "enrol", "approve", "newcomer", "-d", operator.dir);
			await newcomer.untilReady();
		},
	});
	t.equal(newcomer.ready["box"], newcomerId);
	const box = { ...waiting, id: newcomerId, process: newcomer };
	await poll("the newcomer is a box as others are", async () => {
		const { control, swarm } = await desk.statusOf(box);
		return control.connected && swarm.neighbours.length >= LISTED.length;
	});
});

t.test("nobody ended, and nobody else was let in", async (t) => {
	t.notOk(desk.broken.aborted);
	const boxes = (await headend.boxes()).map(({ serial }) => serial);
	t.same(new Set(boxes), new Set([...LISTED, "newcomer"]));
	const { headend: service } = desk;
	for (const each of service === undefined ? [] : [service, newcomer]) {
		const entries = await logOf(each);
		t.same(
			entries.filter(({ level }) => Number(level) >= 50),
			[],
			each.name,
		);
		// Each look at the box that waits is one, however many it takes.
		const told = entries.filter(({ msg }) => msg !== "ipc request failed");
		t.ok(told.length < LINES, `${each.name}: ${told.length} lines`);
	}
	const slugs = new Set((await logOf(newcomer)).map(({ slug }) => slug));
	for (const slug of ["not-json", "bad-schema", "bad-signature", "wrong-box"])
		t.ok(slugs.has(slug), `${slug}: refused by name`);
});

/** How many requests the headend has dropped, for whatever reason. */
async function cameToNothing(): Promise<number> {
	const { dropped } = await headend.enrolment();
	return Object.values(dropped).reduce((sum, count) => sum + count, 0);
}

/** The newcomer says so itself; rejects with whatever else it says. */
async function stillWaits(): Promise<void> {
	const socket = join(waiting.dir, "agent.sock");
	const code = await callIpc(socket, "status", PATIENCE).then(
		() => "it was let in",
		(error: unknown) => error instanceof LarderError && error.code,
	);
	if (code !== "BOX_ENROLLING") throw new Error(`it does not wait: ${code}`);
}

/** A box of the inventory comes in, untouched by hand. */
async function letIn(serial: string): Promise<void> {
	const box = await factory.boot(await factory.flash(serial));
	await poll(`${serial} is let in`, async () => {
		const { control } = await desk.statusOf(box);
		return control.connected;
	});
}

/** The honest messages that passed on a topic of any box. */
function passed(kind: "request" | "answer"): Buffer[] {
	return listener.passed.flatMap(({ to, payload }) =>
		to.to === "enrolment" && to.kind === kind ? [payload] : [],
	);
}

/** A third of them past the signature, half of those past the claim, too. */
function asked(mutator: Mutator, right: readonly Buffer[]): Buffer {
	if (mutator.below(3) > 0) return spoilt(mutator, right);
	const box = mutator.pick([ghostId, ghostId, newcomerId]);
	const network = mutator.pick([operator.network, OTHER]);
	const said = Buffer.from(mutator.json({ ...ASKED, box, network }));
	const proof = createHmac("sha256", claim)
		.update("larder/claim-proof/1\0")
		.update(said)
		.digest("hex");
	return encodeMessage({
		...pack("larder/enrol/1", said, ghost),
		...(mutator.below(2) === 0 && { proof }),
	});
}

async function claimOf(serial: string): Promise<Buffer> {
	const path = join(dir, serial, "enrol.json");
	const { claim } = enrolFile.parse(JSON.parse(await readFile(path, "utf8")));
	return Buffer.from(claim, "hex");
}
