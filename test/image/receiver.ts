// A receiver in QEMU that runs the image, in a neighbourhood that lives on this machine.
import { createWriteStream, type WriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Test } from "tap";
import { flash, putOnBoot } from "../../image/media.ts";
import { boot, type Guest, type GuestOptions } from "../../image/qemu.ts";
import { monotonic, SECOND } from "../../src/base/time.ts";
import { GiB, type Millis } from "../../src/base/units.ts";
import type { Neighbourhood } from "../../src/desk/neighbourhood.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { type Status, status } from "../../src/wire/ipc.ts";
import { parseMessage } from "../../src/wire/json.ts";
import type { Film } from "../system/desk.ts";

/** This machine's end of the line to the receiver: scripts/testimage.ts makes it. */
export const HOST = "10.66.0.1";
const NETWORK = [
	...["-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"],
	...["-device", "virtio-net-pci,netdev=net,romfile="],
];
/** An emulated machine takes its time. */
export const PATIENCE: Millis = 240 * SECOND;
/** The test that runs here: those of the image run side by side. */
const WHICH = basename(process.argv[1] ?? "", ".test.ts");
/** Of the last run. */
const CONSOLE = join(
	import.meta.dirname,
	`../../dist/image/console-${WHICH}.log`,
);
const SHARDS = "/var/lib/larder/data/shards";
const HASHES = `
const [base, ...paths] = process.argv.slice(1);
const { createHash } = await import("node:crypto");
for (const path of paths) {
	const hash = createHash("sha256");
	const answer = await fetch(base + path);
	if (!answer.ok) throw new Error(answer.status + " " + await answer.text());
	for await (const chunk of answer.body) hash.update(chunk);
	console.log(hash.digest("hex"));
}`;

/** A line to the shell is bounded; node takes its time to start. */
const AT_ONCE = 60;

const began = monotonic();

/** A line of the timeline. */
export function note(what: string): void {
	const seconds = Math.round((monotonic() - began) / SECOND);
	process.stderr.write(`[${`${seconds}`.padStart(5)} s] ${WHICH}: ${what}\n`);
}

/** A machine with a disk of its own. It is off at first. */
export class Receiver {
	readonly disk: string;
	/** What its serial console says, over all its boots. */
	private readonly console: WriteStream;
	private readonly options: { readonly memory: number };
	private guest: Guest | undefined;

	private constructor(disk: string, options: { readonly memory: number }) {
		this.disk = disk;
		this.options = options;
		this.console = createWriteStream(CONSOLE);
	}

	/** Flashes an image, and gives it what an operator puts onto the boot partition. */
	static async flash(
		t: Test,
		image: string,
		disk: string,
		files: Readonly<Record<string, string | Buffer>>,
		{ size = 8 * GiB, memory = 1024 } = {},
	): Promise<Receiver> {
		await flash(image, disk, size);
		for (const [name, content] of Object.entries(files))
			await putOnBoot(disk, `larder/${name}`, content);
		const receiver = new Receiver(disk, { memory });
		t.teardown(async () => {
			await receiver.cut();
			receiver.console.end();
			await rm(disk, { force: true });
		});
		return receiver;
	}

	/** Switches it on; resolves when it says that all of it is up. Gives what systemd says of that. */
	async on(more: Partial<GuestOptions> = {}): Promise<string> {
		const start = monotonic();
		this.guest = await boot({
			disk: this.disk,
			network: NETWORK,
			...this.options,
			...more,
			onLine: (line) => this.console.write(`${line}\n`),
		});
		return await this.up(start);
	}

	/** Waits until all of it is up, also after a restart that it began itself. */
	async up(start: Millis): Promise<string> {
		// It exits with another status than 0 when something has failed; the word says it.
		const state = await this.run(
			"systemctl is-system-running --wait || true",
			PATIENCE,
		);
		const seconds = Math.round((monotonic() - start) / SECOND);
		note(`up after ${seconds} s: ${state.trim()}`);
		return state.trim();
	}

	/** Switches it on and takes the power after so long, wherever it is then. */
	async flicker(after: Millis): Promise<void> {
		const going = boot({
			disk: this.disk,
			network: NETWORK,
			...this.options,
			patience: after,
			onLine: (line) => this.console.write(`${line}\n`),
		});
		await going.then(
			(guest) => guest.kill(),
			// It was not up yet, which is the point.
			() => undefined,
		);
	}

	/** Has it restart; resolves when it is up again, however often it had to try. */
	async reboot(): Promise<string> {
		const start = monotonic();
		await this.run("systemctl --no-block reboot");
		await this.running.restarted(2 * PATIENCE);
		return await this.up(start);
	}

	/** The power goes. */
	async cut(): Promise<void> {
		const { guest } = this;
		this.guest = undefined;
		await guest?.kill();
	}

	run(command: string, patience: Millis = PATIENCE): Promise<string> {
		return this.running.run(command, patience);
	}

	/** Looks again and again until a command prints what is wanted. */
	async until(command: string, wanted: RegExp): Promise<string> {
		const end = monotonic() + PATIENCE;
		for (;;) {
			const said = await this.run(`(${command}) || true`);
			if (wanted.test(said)) return said;
			if (monotonic() > end)
				throw new Error(`waited in vain: ${command} says ${said}`);
			await new Promise((resolve) => setTimeout(resolve, SECOND));
		}
	}

	/** Fetches a file. */
	async fetch(url: string, path: string): Promise<void> {
		const script = `
			const { createWriteStream } = await import("node:fs");
			const { pipeline } = await import("node:stream/promises");
			await pipeline((await fetch("${url}")).body, createWriteStream("${path}"));`;
		await this.run(`/usr/lib/larder/node --input-type=module -e '${script}'`);
	}

	/** What its agent says of itself, once it says anything. */
	async status(): Promise<Status> {
		const said = await this.until("larder status --json", /^\{/);
		const read = parseMessage(status, Buffer.from(said));
		if (!read.ok) throw new Error(read.detail);
		return read.value;
	}

	/** What its gateway gives for these files of a title: the hash of each. */
	async hashes(film: Film, paths: readonly string[]): Promise<string[]> {
		const hashes: string[] = [];
		for (let at = 0; at < paths.length; at += AT_ONCE) {
			const places = paths.slice(at, at + AT_ONCE).map((path) => `'${path}'`);
			const said = await this.run(
				`/usr/lib/larder/node --input-type=module -e '${HASHES}' "$(larder player-token)/titles/${film.id}/" ${places.join(" ")}`,
			);
			hashes.push(...said.trim().split("\n"));
		}
		return hashes;
	}

	/** Whole shards of a title on its disk, with the hash of each. */
	async shards(film: Film): Promise<Map<string, string>> {
		const said = await this.run(
			`cd ${SHARDS}/${film.id} 2> /dev/null && ls | grep -E '^[0-9]+$' | xargs -r sha256sum || true`,
		);
		const lines = said.trim().split("\n").filter(Boolean);
		return new Map(
			lines.map((line) => {
				const [hash = "", name = ""] = line.split(/\s+/);
				return [name, hash];
			}),
		);
	}

	private get running(): Guest {
		if (this.guest === undefined) throw new Error("the receiver is off");
		return this.guest;
	}
}

/** The id of the box with this serial number, once it was let in. */
export async function boxOf(
	desk: Neighbourhood,
	serial: string,
	larder: (...args: string[]) => Promise<string>,
): Promise<BoxId> {
	const end = monotonic() + PATIENCE;
	for (;;) {
		const listed = JSON.parse(
			await larder("boxes", "--json", "-d", desk.operator.dir),
		) as { id: BoxId; serial: string }[];
		const found = listed.find((box) => box.serial === serial);
		if (found !== undefined) return found.id;
		if (monotonic() > end) throw new Error(`${serial} was not let in`);
		await new Promise((resolve) => setTimeout(resolve, SECOND));
	}
}
