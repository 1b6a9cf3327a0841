import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { DAY } from "../../../src/base/time.ts";
import { certifyBox } from "../../../src/headend/tls/authority.ts";
import { readPapers } from "../../../src/headend/tls/keys.ts";
import { seal } from "../../../src/wire/envelope.ts";
import {
	filled,
	heldOf,
	larder,
	MAIN,
	play,
	poll,
	publishFilm,
} from "../desk.ts";
import { openSecureDesk, order } from "./secure.ts";

const MB = 1e6;

t.setTimeout(300_000);

t.test("boxes from the factory, over Mosquitto with TLS", async (t) => {
	const secure = await openSecureDesk(t, 2, ["box-1", "box-2", "box-3"]);
	const { desk, operator, flash, boot } = secure;
	const at = ["-d", operator.dir];
	const film = await publishFilm(desk, 3 * MB);
	const flashed = [await flash("box-1"), await flash("box-2")];
	t.same(
		await readdir(flashed[0]!.dir),
		["enrol.json", "larder.toml"],
		"no key in the image",
	);
	const [one, two] = await Promise.all(flashed.map(boot));

	await t.test(
		"come in, are given shards and fill, untouched by hand",
		async (t) => {
			await filled(desk, film.shards * 2);
			for (const box of [one!, two!]) {
				t.equal((await heldOf(box, film)).size, film.shards);
				const path = join(box.dir, "identity.json");
				t.equal((await stat(path)).mode & 0o777, 0o600);
				t.notOk(existsSync(join(box.dir, "identity.key")));
			}
			t.match(await play(desk, one!, film), { mismatches: 0 });
		},
	);

	await t.test("a copied claim of a live box lets nobody in", async (t) => {
		const thief = await flash("thief", "box-1");
		const config = join(thief.dir, "larder.toml");
		const agent = spawn(process.execPath, [MAIN, "agent", "-c", config]);
		t.teardown(() => agent.kill());
		const waits = await poll("the thief waits", async () => {
			const { said } = await larder("enrol", "list", "--json", ...at);
			const all = JSON.parse(said) as {
				serial: string;
				state: string;
				why: string;
			}[];
			return all.find(({ state }) => state === "waiting");
		});
		t.match(waits, { serial: "box-1", why: "serial-live" });
		const status = await larder("status", "-c", join(thief.dir, "larder.toml"));
		t.match(status, { code: 1, said: /box-1 waits.*BOX_ENROLLING/s });
		t.notOk(existsSync(join(thief.dir, "identity.json")));
		t.notOk(existsSync(join(thief.dir, "data", "shards")));
		await order(t, "enrol", "reject", "box-1", "--why", "a copy", ...at);
		t.equal(agent.exitCode, null, "it waits on");
	});

	await t.test("a factory reset leaves who it is", async (t) => {
		await two!.process?.stop();
		const config = join(two!.dir, "larder.toml");
		await order(t, "factory-reset", "--yes", "-c", config);
		t.same(await readdir(join(two!.dir, "data")), []);
		await desk.startBox(two!);
		t.equal((await desk.statusOf(two!)).box, two!.id);
		await poll(
			"it holds the film again",
			async () => (await heldOf(two!, film)).size === film.shards,
		);
	});

	await t.test(
		"a box that was off past its lease comes back by itself",
		async (t) => {
			await two!.process?.stop();
			const path = join(two!.dir, "identity.json");
			const identity = JSON.parse(await readFile(path, "utf8"));
			const { authority } = await readPapers(operator);
			const dates = {
				notBefore: Date.now() - 40 * DAY,
				notAfter: Date.now() - 10 * DAY,
			};
			const { network, region, signers } = operator;
			const lapsed = seal(signers.issuer, {
				...{ network, region, box: two!.id, role: "box", serial: "box-2" },
				...dates,
			});
			identity.certificate = JSON.parse(lapsed.toString());
			identity.chain = await certifyBox(authority, two!.id, dates);
			await writeFile(path, JSON.stringify(identity));
			await desk.startBox(two!);
			await poll(
				"the broker lets it in",
				async () => (await desk.statusOf(two!)).control.connected,
			);
			const { membership } = await desk.statusOf(two!);
			t.ok(membership.notAfter > Date.now() + 20 * DAY, "with a new lease");
		},
	);

	await t.test("a revoked box is out, at the broker too", async (t) => {
		t.ok((await desk.statusOf(two!)).control.connected);
		await order(t, "revoke", "box-2", "--why", "stolen", ...at);
		await poll(
			"the broker turns it away",
			async () => !(await desk.statusOf(two!)).control.connected,
		);
		await poll(
			"its neighbour is rid of it",
			async () =>
				!(await desk.statusOf(one!)).swarm.neighbours.some(
					({ box }) => box === two!.id,
				),
		);
		t.match(await play(desk, one!, film), { mismatches: 0 });
	});
});
