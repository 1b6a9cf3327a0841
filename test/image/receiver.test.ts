// The receiver's image as it runs: `npm run test:image`. One machine, from the first boot on; each part goes on where the last one left it.
import { createHash } from "node:crypto";
import { copyFile, readFile, rename } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import t from "tap";
import { monotonic, SECOND } from "../../src/base/time.ts";
import { formatBytes, GiB, MiB } from "../../src/base/units.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { signRelease } from "../../src/headend/release/sign.ts";
import type { RolloutView } from "../../src/headend/rollout/view.ts";
import {
	type Film,
	filled,
	play,
	poll,
	publishFilm,
	publishSource,
} from "../system/desk.ts";
import { openSecureDesk, order } from "../system/hostile/secure.ts";
import { CLIP } from "../system/media.ts";
import { bundle, Line, orderOf } from "../system/update/network.ts";
import { boxOf, HOST, note, Receiver } from "./receiver.ts";
import { makeEmpty, serve } from "./roots.ts";

const IMAGE = process.env["LARDER_IMAGE"];
/** The root in it, which an update brings. */
const ROOT = IMAGE?.replace(/img$/, "squashfs") ?? "";
const SOAK = process.env["LARDER_SOAK"] !== undefined;
const CUTS = SOAK ? 20 : 5;
const SERIAL = "SN-0002";
const LARGE = "SN-0003";

t.setTimeout(3_600_000);

if (IMAGE === undefined)
	throw new Error("npm run test:image has the network that this test needs");

t.test("a receiver, from its first boot on", async (t) => {
	const secure = await openSecureDesk(t, 2, ["SN-0001", SERIAL, LARGE], HOST);
	const { desk, operator, boot, flash, claimOf, speaker } = secure;
	const at = ["-d", operator.dir];
	const larder = (...args: string[]) => order(t, ...args);
	const neighbour = await boot(await flash("SN-0001"));
	note("headend, Mosquitto with TLS, DHT nodes, origin and a neighbour are up");

	/** What an operator puts onto the boot partition. */
	const filesFor = async (serial: string) => ({
		"enrol.json": await readFile(claimOf(serial)),
		"operator.toml": await larder("box-config", ...at),
		serial,
	});
	const disk = join(desk.dir, "disk.img");
	const receiver = await Receiver.flash(t, IMAGE, disk, await filesFor(SERIAL));
	let title = 0;
	/** A film that both boxes are to hold whole. */
	const publish = (size: number) => publishFilm(desk, size, `film-${++title}`);
	let copies = 0;
	const held = async (film: Film) => {
		copies += 2 * film.shards;
		await filled(desk, copies);
	};
	const hashOf = (bytes: Buffer) =>
		createHash("sha256").update(bytes).digest("hex");
	const gives = async (film: Film): Promise<boolean> => {
		const [file] = film.manifest.files;
		const [got] = await receiver.hashes(film, [file?.path ?? ""]);
		return got === hashOf(await readFile(film.source));
	};

	await t.test("1: all of it comes up, and nothing has failed", async (t) => {
		t.equal(await receiver.on(), "running");
		t.equal(await receiver.run("systemctl --failed --plain --no-legend"), "");
		t.match(
			await receiver.run(
				"systemctl show larder-agent -P SubState -P StatusText",
			),
			/running/,
		);
		t.equal((await receiver.run("hostname")).trim(), "larder-sn-0002");
	});

	const id = await boxOf(desk, SERIAL, larder);
	desk.observer.follow(id);
	const line = await Line.open(t, desk, id, speaker);
	const clip = await publishSource(desk, CLIP);
	const film = await publish(8 * MiB);

	await t.test(
		"2: it is let in, fills, and serves what was published",
		async (t) => {
			await held(clip);
			await held(film);
			const fill = desk.observer.fills.get(id);
			t.equal(fill?.heldBytes, fill?.placedBytes);
			note(`it holds ${formatBytes(fill?.heldBytes ?? 0)}`);
			const paths = clip.manifest.files.map(({ path }) => path);
			const wanted = paths.map(async (path) =>
				hashOf(await readFile(join(CLIP, path))),
			);
			t.same(await receiver.hashes(clip, paths), await Promise.all(wanted));
			t.ok(await gives(film));
			t.match(await play(desk, neighbour, film), { mismatches: 0 });
			const { counters, store } = await receiver.status();
			t.equal(store.capacity, 2 * GiB, "what a small disk gives");
			t.ok(counters.fromNeighbours + counters.fromOrigin > 0);
			note(
				`from the neighbour ${formatBytes(counters.fromNeighbours)}, from the origin ${formatBytes(counters.fromOrigin)}`,
			);
		},
	);

	await t.test("3: an agent that hangs is started again", async (t) => {
		const before = await receiver.run(
			"systemctl show larder-agent -P NRestarts; kill -STOP $(systemctl show larder-agent -P MainPID)",
		);
		await receiver.until(
			"systemctl show larder-agent -P NRestarts -P ActiveState",
			new RegExp(`^${Number(before) + 1}\\nactive`),
		);
		t.match(
			await receiver.run("journalctl -u larder-agent -o cat"),
			/[Ww]atchdog timeout/,
		);
		t.ok(await gives(film));
	});

	await t.test(`4: the power goes ${CUTS} times while it fills`, async (t) => {
		for (let cut = 1; cut <= CUTS; cut++) {
			const next = await publish(8 * MiB);
			await poll("it has begun to fill", async () => {
				const shards = await receiver.shards(next);
				return shards.size > 0;
			});
			await new Promise((resolve) => setTimeout(resolve, Math.random() * 3000));
			const before = await receiver.shards(next);
			await receiver.cut();
			note(`the power went with ${before.size} of ${next.shards} shards held`);
			t.equal(await receiver.on(), "running");
			t.match(
				await receiver.run(
					"cat /sys/fs/ext4/*/errors_count; findmnt -n -o FSTYPE,OPTIONS /data",
				),
				/^0\next4 +rw/,
				"the file system is clean",
			);
			const after = await receiver.shards(next);
			const published = new Map<string, string>();
			for (const shard of after.keys()) {
				const origin = join(operator.dir, "origin", next.id, shard);
				published.set(shard, hashOf(await readFile(origin)));
			}
			t.same(after, published, "each is whole");
			t.same(
				[...before.keys()].filter((shard) => !after.has(shard)),
				[],
				"none that was whole is lost",
			);
			await held(next);
			t.ok(await gives(next));
		}
	});

	await t.test("5: releases over the swarm", async (t) => {
		const target = "linux-arm64";
		const sign = async (version: string, program?: string) => {
			const out = join(desk.dir, version);
			const folder = await bundle(out, version, program, target);
			const key = join(operator.dir, "keys/release.json");
			await larder(
				"release",
				"sign",
				folder,
				"--key",
				key,
				"--out",
				desk.dir,
				...at,
			);
			await larder(
				...[
					"release",
					"publish",
					join(desk.dir, `larder-${version}-${target}.release`),
					...at,
				],
			);
			return folder;
		};
		const roll = async (version: string): Promise<RolloutView> => {
			const waves = ["--waves", "100%", "--soak", "1 s"];
			await larder("rollout", "start", version, ...waves, ...at);
			const began = monotonic();
			for (;;) {
				const [view] = JSON.parse(
					await larder("rollout", "status", "--json", ...at),
				) as RolloutView[];
				if (view === undefined) throw new Error("no rollout");
				if (view.done + view.failed > 0) {
					const seconds = Math.round((monotonic() - began) / SECOND);
					note(
						`${version}: ${view.failed > 0 ? "went back" : "done"} after ${seconds} s`,
					);
					return view;
				}
				if (monotonic() - began > 400 * SECOND)
					throw new Error(JSON.stringify(view));
				await new Promise((resolve) => setTimeout(resolve, SECOND));
			}
		};
		await t.test("a good one", async (t) => {
			await sign("0.2.0");
			t.match(await roll("0.2.0"), { done: 1, failed: 0 });
			t.match(await receiver.status(), { version: "0.2.0" });
			t.ok(await gives(film));
		});
		const bad = (kind: string) =>
			join(import.meta.dirname, `../system/update/bad/${kind}.ts`);
		// As shipped a release has 120 s to say READY, which one that never does would make this test wait for, twice.
		const folder = "/run/systemd/system/larder-agent.service.d";
		await receiver.run(
			`mkdir -p ${folder} && printf '[Service]\\nTimeoutStartSec=60\\n' > ${folder}/soon.conf && systemctl daemon-reload`,
		);
		for (const [index, kind] of ["crash", "hang", "sick"].entries())
			await t.test(`one that is bad: ${kind}`, async (t) => {
				const version = `0.3.${index}`;
				await sign(version, bad(kind));
				t.match(await roll(version), { failures: [{ code: "rolled-back" }] });
				await larder("rollout", "abort", "--why", "bad", ...at);
				t.match(await receiver.status(), { version: "0.2.0" });
				t.ok(await gives(film));
			});
		await t.test("one that another operator signed", async (t) => {
			const folder = await sign("0.4.0");
			const dir = join(desk.dir, "stranger");
			const { region } = operator;
			const stranger = await initOperator(dir, { region });
			const key = join(dir, "keys/release.json");
			const signed = { bundle: folder, key, out: dir };
			const { path } = await signRelease(stranger, signed);
			const ordered = await orderOf(stranger, path, film.id);
			t.match(await line.ask(id, ordered), {
				ok: false,
				code: "RELEASE_INVALID",
			});
		});
	});

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
			await makeEmpty(ROOT, empty, desk.dir);
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
			await copyFile(ROOT, copy);
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
			"fallocate -l 100G /data/others || dd if=/dev/zero of=/data/others bs=1M || true",
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
		await receiver.run("rm /data/others");
		await held(another);
	});

	await t.test("10: figures", async () => {
		const began = monotonic();
		await held(await publish(32 * MiB));
		const seconds = (monotonic() - began) / SECOND;
		note(`a film of 32 MiB is held after ${seconds.toFixed(1)} s, emulated`);
		const said = await receiver.run(
			"pid=$(systemctl show larder-agent -P MainPID); awk '/^Pss:/ {print $2}' /proc/$pid/smaps_rollup; systemd-analyze time; head -3 /proc/meminfo",
		);
		note(`of the agent, PSS in KiB, emulated:\n${said}`);
	});

	await t.test("the agent in a root of its own", async (t) => {
		const url = await serve(t, dirname(ROOT));
		await receiver.fetch(`${url}/${basename(ROOT)}`, "/data/larder.squashfs");
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
			IMAGE,
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
