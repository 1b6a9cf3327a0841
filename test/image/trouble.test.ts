// A receiver in trouble of its own, from its first boot on: `npm run test:image`. Each part goes on where the last one left it.
import { copyFile, readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import t from "tap";
import { SECOND } from "../../src/base/time.ts";
import { formatBytes, MiB } from "../../src/base/units.ts";
import { poll } from "../system/desk.ts";
import { boxOf, note, Receiver } from "./receiver.ts";
import { makeEmpty, serve } from "./roots.ts";
import { LARGE, openStage, SERIAL } from "./stage.ts";

t.setTimeout(3_600_000);

t.test("a receiver in trouble of its own", async (t) => {
	const stage = await openStage(t);
	const { desk, operator, at, larder, receiver, image, filesFor } = stage;
	const { root: shipped, publish, held, gives } = stage;
	t.equal(await receiver.on(), "running");
	const id = await boxOf(desk, SERIAL, larder);
	desk.observer.follow(id);
	const film = await publish(8 * MiB);
	await held(film);

	await t.test("6: images of the whole receiver", async (t) => {
		// Nothing but peace is missing: no start of it has lasted for a minute yet.
		await receiver.until("larder-slot status", /^running a\na good/);
		const url = await serve(t, desk.dir);
		const install = async (version: string, root: string) => {
			const name = `larder-${version}-arm64.squashfs`;
			await rename(root, join(desk.dir, name));
			const key = join(operator.dir, "keys/release.json");
			await larder(
				...["release", "sign", join(desk.dir, name), "--key", key],
				...["--out", desk.dir, ...at],
			);
			const signed = `larder-${version}-image-arm64.release`;
			await receiver.fetch(`${url}/${signed}`, "/data/image");
			await receiver.run("larder-slot install /data/image && rm /data/image");
		};
		await t.test("one that does not even start", async (t) => {
			const empty = join(desk.dir, "empty");
			await makeEmpty(shipped, empty, desk.dir);
			await install("0.5.0", empty);
			t.equal(await receiver.reboot(), "running");
			t.equal(
				await receiver.run("larder-slot status"),
				"running a\na good\nb on trial, started 3 of 3 times\n",
			);
			t.ok(await gives(film));
		});
		await t.test("a good one", async (t) => {
			const copy = join(desk.dir, "copy");
			await copyFile(shipped, copy);
			await install("0.6.0", copy);
			t.equal(await receiver.reboot(), "running");
			await receiver.until("larder-slot status", /^running b\na good\nb good/);
			t.ok(await gives(film));
		});
	});

	await t.test("7: five quick power cycles use no slot up", async (t) => {
		const slots = () => receiver.run("larder-slot status");
		await receiver.until("larder-slot status", /^running b\na good\nb good/);
		const before = await slots();
		await receiver.run("sync");
		await receiver.cut();
		for (let cycle = 0; cycle < 5; cycle++) {
			const after = (6 + 4 * cycle) * SECOND;
			await receiver.flicker(after);
			note(`on for ${after / SECOND} s`);
		}
		t.equal(await receiver.on(), "running");
		t.equal(await slots(), before);
	});

	await t.test("8: a clock that begins in 1970", async (t) => {
		await receiver.cut();
		const more = ["-rtc", "base=1970-01-01T00:00:00,clock=vm"];
		t.equal(await receiver.on({ more }), "running");
		await receiver.until("larder status", /connected/);
		const { swarm } = await receiver.status();
		t.ok(swarm.neighbours.length > 0, "its neighbour let it in");
		t.ok(await gives(film));
	});

	await t.test("9: a disk that others have filled", async (t) => {
		await receiver.run(
			// Most of it without writing anything, the rest until nothing goes any more.
			"fallocate -l $(df --output=avail -B1 /data | tail -1) /data/others || fallocate -l $(($(df --output=avail -B1 /data | tail -1) - (64 << 20))) /data/others; dd if=/dev/zero of=/data/rest bs=1M || true",
		);
		t.match(await receiver.run("df --output=avail /data"), /\n *0\n/);
		const another = await publish(16 * MiB);
		await poll("it says that it has no room", async () => {
			const fill = desk.observer.fills.get(id);
			return fill !== undefined && fill.capacity < 16 * MiB;
		});
		t.equal(
			(await receiver.run("systemctl is-active larder-agent")).trim(),
			"active",
		);
		t.ok(await gives(film), "what it holds plays");
		await receiver.run("rm /data/others /data/rest");
		await held(another);
	});

	await t.test("the agent in a root of its own", async (t) => {
		const url = await serve(t, dirname(shipped));
		await receiver.fetch(
			`${url}/${basename(shipped)}`,
			"/data/larder.squashfs",
		);
		const conf = await readFile(
			join(import.meta.dirname, "../../image/rootimage.conf"),
			"utf8",
		);
		const here = conf.replace(
			"/usr/lib/larder.squashfs",
			"/data/larder.squashfs",
		);
		const folder = "/etc/systemd/system/larder-agent.service.d";
		await receiver.run(
			`mkdir -p ${folder} && echo ${Buffer.from(here).toString("base64")} | base64 -d > ${folder}/rootimage.conf`,
		);
		await receiver.run(
			"systemctl daemon-reload && systemctl restart larder-agent",
		);
		const root =
			"findmnt -n -o SOURCE,FSTYPE -N $(systemctl show larder-agent -P MainPID) /";
		t.match(await receiver.run(root), /^(?!\/dev\/vd)\S+ squashfs/);
		await receiver.until("larder status", /connected/);
		t.ok(await gives(film));
	});

	await t.test("a receiver with 4 GB and a disk of 1 TB", async (t) => {
		await receiver.cut();
		const large = await Receiver.flash(
			t,
			image,
			join(desk.dir, "large.img"),
			await filesFor(LARGE),
			{ size: 1e12, memory: 4096 },
		);
		t.equal(await large.on(), "running");
		desk.observer.follow(await boxOf(desk, LARGE, larder));
		await large.until("larder status", /connected/);
		const { store } = await large.status();
		note(`it gives ${formatBytes(store.capacity)}`);
		t.ok(store.capacity > 450e9, `${store.capacity} bytes: half of it`);
	});
});
