import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { DAY } from "../../../src/base/time.ts";
import type { DeskBox } from "../../../src/desk/neighbourhood.ts";
import { openOperator } from "../../../src/headend/operator/operator.ts";
import { certifyBox } from "../../../src/headend/tls/authority.ts";
import { readPapers } from "../../../src/headend/tls/keys.ts";
import { seal } from "../../../src/wire/envelope.ts";
import { filled, logOf, play, poll, publishFilm, stopOrigin } from "../desk.ts";
import { openSecureDesk, order, type SecureDesk } from "./secure.ts";

t.setTimeout(300_000);

t.test("the issuer's key is stolen, replaced and retired", async (t) => {
	const secure = await openSecureDesk(t, 1, ["box-1", "box-2", "box-3"]);
	const { desk, operator, flash, boot } = secure;
	const [one, two, three] = await Promise.all(
		["box-1", "box-2", "box-3"].map(async (name) => boot(await flash(name))),
	);
	if (!one || !two || !three) throw new Error("no boxes");
	const film = await publishFilm(desk, 3e6);
	await filled(desk, film.shards);
	for (const box of [two, three]) await box.process?.stop();
	await mislead(secure, three);

	const root = join(operator.dir, "keys", "root.json");
	for (const act of [["rotate"], ["retire", "--force"]])
		await order(
			t,
			...["keys", ...act, "issuer", "--root", root, "-d", operator.dir],
		);

	for (const box of [two, three]) await desk.startBox(box);
	const comesBack = async (box: DeskBox) => {
		await poll(
			"the broker lets it in",
			async () => (await desk.statusOf(box)).control.connected,
		);
		const { membership } = await desk.statusOf(box);
		const left = membership.notAfter - Date.now();
		t.ok(left > 29 * DAY && left < 31 * DAY, "with a lease of the new issuer");
	};
	await t.test("a box that was off comes back by itself", () => comesBack(two));
	await t.test(
		"so does one whom the thief told that years went by",
		async (t) => {
			await comesBack(three);
			if (three.process === undefined) throw new Error("no process");
			const troubles = (await logOf(three.process)).map((it) => it["trouble"]);
			t.match(`${troubles}`, /not the operator's broker: expired/);
		},
	);
	await t.test(
		"and their neighbours have from them what they hold",
		async (t) => {
			await poll("they are neighbours again", async () => {
				const { neighbours } = (await desk.statusOf(one)).swarm;
				const boxes = new Set(neighbours.map(({ box }) => box));
				return boxes.has(two.id) && boxes.has(three.id);
			});
			await stopOrigin(desk);
			t.equal((await play(desk, one, film)).mismatches, 0);
		},
	);
});

/** Leaves on a box that is off what a thief of the issuer's key may have told it while it was on. */
async function mislead({ operator }: SecureDesk, box: DeskBox) {
	const { network, region, signers } = await openOperator(operator.dir);
	const { authority } = await readPapers(operator);
	const at = Date.now() + 9 * 365 * DAY;
	const dates = { notBefore: at, notAfter: at + 30 * DAY };
	const member = { network, region, box: box.id, role: "box", issuedAt: at };
	const say = (said: object) =>
		JSON.parse(seal(signers.issuer, said).toString());
	const path = join(box.dir, "identity.json");
	const identity = JSON.parse(await readFile(path, "utf8"));
	const serial = box.name;
	identity.certificate = say({ ...member, serial, ...dates });
	identity.chain = await certifyBox(authority, box.id, dates);
	await writeFile(path, JSON.stringify(identity));
	const nonce = "0".repeat(32);
	const statement = say({ network, box: box.id, nonce, at });
	const time = { ran: 0, said: { statement, elapsed: 0 } };
	await writeFile(
		join(box.dir, "data", "control", "time.json"),
		JSON.stringify(time),
	);
}
