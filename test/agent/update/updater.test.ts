import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { OpenTitle } from "../../../src/act/ports.ts";
import { Releases } from "../../../src/agent/update/releases.ts";
import { standing, Updater } from "../../../src/agent/update/updater.ts";
import { LarderError } from "../../../src/base/errors.ts";
import { silent } from "../../../src/base/log.ts";
import { tarHeader, tarPadding } from "../../../src/content/tar.ts";
import {
	type Envelope,
	parseEnvelope,
	type Signer,
	seal,
} from "../../../src/wire/envelope.ts";
import type { Release } from "../../../src/wire/release.ts";
import type { Update } from "../../../src/wire/reports.ts";
import { Happenings, newTitle, Operator } from "../../control/operator.ts";

const operator = new Operator();
const signer = operator.signer("release");
const title = newTitle();
const file = (path: string, text: string) => {
	const content = Buffer.from(text);
	const size = content.length;
	const padding = Buffer.alloc(tarPadding(size));
	return [tarHeader({ path, size }), content, padding];
};
const tar = Buffer.concat([
	...file("version", "0.2.0\n"),
	...file("larder.mjs", "x"),
	Buffer.alloc(1024),
]);
const said: Release = {
	network: operator.trust.network,
	version: "0.2.0",
	target: "linux-x64",
	minimum: "0.1.0",
	size: tar.length,
	sha256: createHash("sha256").update(tar).digest("hex"),
};

function orderOf(over: Partial<Release> = {}, by: Signer = signer) {
	const read = parseEnvelope(JSON.parse(`${seal(by, { ...said, ...over })}`));
	const statement = read.ok ? read.value : (undefined as never as Envelope);
	return { kind: "update", title, statement } as const;
}

interface Why {
	code?: string;
	message?: RegExp;
}

/** A box that runs 0.1.0 under launch. `content` is what its neighbours have of the title. */
async function open(
	t: Test,
	content = Buffer.concat([Buffer.from("{}\n"), tar]),
	started = true,
) {
	const dir = t.testdir();
	const releases = new Releases(dir);
	const told = new Happenings<Update | undefined>();
	const restarts: number[] = [];
	let failing: Error | undefined;
	const opened = {
		manifest: { size: content.length },
		async *read(offset: number, length: number) {
			yield content.subarray(offset, offset + length);
		},
	} as unknown as OpenTitle;
	const updater = await Updater.open({
		releases: started ? releases : undefined,
		version: "0.1.0",
		target: "linux-x64",
		trust: operator.trust,
		bring: async () => {
			if (failing !== undefined) throw failing;
			return () => undefined;
		},
		open: async () => opened,
		control: { change: ({ update }) => told.add(update) },
		restart: () => {
			restarts.push(1);
			told.add(undefined);
		},
		log: silent,
	});
	t.teardown(() => updater.close());
	const fail = (error: Error) => {
		failing = error;
	};
	return { dir, releases, updater, told, restarts, fail };
}

t.test("a release is fetched, switched to and started", async (t) => {
	const { updater, told, restarts, releases } = await open(t);
	await updater.order(orderOf());
	await told.until((update) => update === undefined);
	t.same(told.all, [{ version: "0.2.0", phase: "fetching" }, undefined]);
	t.equal(restarts.length, 1);
	t.match(await releases.trial(), { version: "0.2.0", previous: undefined });
});

t.test("what is not for this box is refused, with why", async (t) => {
	const { updater, told, dir, releases } = await open(t);
	const stranger = new Operator();
	const retired = operator.signer("release", Date.now() + 1000, 0);
	await writeFile(join(dir, "refused"), "0.7.0\n");
	const refused: [string, ReturnType<typeof orderOf>, Why][] = [
		[
			"another operator's key",
			orderOf({}, stranger.signer("release")),
			{ code: "RELEASE_INVALID" },
		],
		[
			"a key for something else",
			orderOf({}, operator.signer("placement")),
			{ code: "RELEASE_INVALID", message: /wrong-purpose/ },
		],
		[
			"a key that says it may",
			orderOf({}, { ...operator.signer("placement"), purpose: "release" }),
			{ code: "RELEASE_INVALID", message: /wrong-purpose/ },
		],
		[
			"another network",
			orderOf({ network: stranger.trust.network }),
			{ code: "UPDATE_REFUSED" },
		],
		[
			"another target",
			orderOf({ target: "linux-arm64" }),
			{ message: /for linux-arm64/ },
		],
		[
			"the same version",
			orderOf({ version: "0.1.0" }),
			{ message: /not newer/ },
		],
		["an older one", orderOf({ version: "0.0.9" }), { message: /not newer/ }],
		[
			"one that this is too old for",
			orderOf({ minimum: "0.1.1" }),
			{ message: /takes 0\.1\.1/ },
		],
		[
			"one that did not hold",
			orderOf({ version: "0.7.0" }),
			{ message: /did not hold/ },
		],
	];
	for (const [what, order, why] of refused) {
		const { code = "UPDATE_REFUSED", message = /./ } = why;
		await t.rejects(updater.order(order), { code, message }, what);
	}
	operator.trust.minimum.set("release", 1);
	t.teardown(() => operator.trust.minimum.clear());
	await t.rejects(updater.order(orderOf({}, retired)), {
		message: /retired-key/,
	});
	t.same(told.all, [], "nothing was begun");
	await releases.switchTo("0.2.0", title, "0.1.0");
	await t.rejects(updater.order(orderOf()), { message: /on trial/ });
	const alone = await open(t, tar, false);
	await t.rejects(alone.updater.order(orderOf()), { message: /by launch/ });
});

t.test("a title that is another leaves all as it is", async (t) => {
	for (const content of [tar.subarray(1), Buffer.alloc(tar.length)]) {
		const { updater, told, restarts, releases } = await open(t, content);
		await updater.order(orderOf());
		await told.until((update) => update?.phase !== "fetching");
		t.match(told.all.at(-1), { phase: "failed", code: "RELEASE_INVALID" });
		t.same(restarts, []);
		t.equal(await releases.trial(), undefined);
	}
});

t.test("what the disk says is told, and may be ordered again", async (t) => {
	const { updater, told, fail } = await open(t);
	fail(new LarderError("STORE_FULL", "no room"));
	for (let times = 1; times <= 2; times++) {
		await updater.order(orderOf());
		await told.until((update) => update?.phase === "failed", 2 * times - 1);
	}
	t.match(told.all.at(-1), { phase: "failed", code: "STORE_FULL" });
});

t.test("what cannot be had now is waited for", async (t) => {
	const { updater, told, fail } = await open(t);
	fail(new LarderError("TITLE_UNAVAILABLE", "nobody is there"));
	await updater.order(orderOf());
	await updater.order(orderOf());
	t.same(told.all, [{ version: "0.2.0", phase: "fetching" }]);
});

t.test("after a restart it tells how it went", async (t) => {
	const dir = t.testdir();
	const releases = new Releases(dir);
	const told = new Happenings<Update | undefined>();
	const parts = {
		...{ releases, target: "linux-x64", trust: operator.trust, log: silent },
		bring: async () => () => undefined,
		open: () => Promise.reject(new Error("nothing is opened")),
		control: {
			change: ({ update }: { update?: Update | undefined }) => told.add(update),
		},
		restart: () => undefined,
	};
	// The updater's own timer keeps nobody alive.
	const alive = setInterval(() => undefined, 1000);
	t.teardown(() => clearInterval(alive));
	await releases.switchTo("0.2.0", title, "0.1.0");
	t.same(await standing(releases, "0.2.0"), {
		version: "0.2.0",
		phase: "trial",
	});
	const updater = await Updater.open({ ...parts, version: "0.2.0" });
	await releases.keep();
	await told.until((update) => update === undefined);
	t.equal(await standing(releases, "0.2.0"), undefined);
	await updater.close();

	await writeFile(join(dir, "refused"), "0.3.0\n");
	const failed = { version: "0.3.0", phase: "failed", code: "rolled-back" };
	t.same(await standing(releases, "0.2.0"), failed);
	t.equal(await standing(releases, "0.4.0"), undefined, "a newer one runs");
});
