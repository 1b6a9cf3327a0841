import { existsSync } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t, { type Test } from "tap";
import { Attests } from "../../src/agent/attests.ts";
import type { Standing } from "../../src/control/heads.ts";
import {
	type Attestation,
	MAX_ATTESTED,
	readAttestation,
} from "../../src/wire/attest.ts";
import type { Signed } from "../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../src/wire/ids.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { Happenings, heard, newTitle } from "../control/operator.ts";
import { NETWORK } from "../control/rig.ts";

const NOW = 1000;

function standing(epoch: number, ...purged: [TitleId, number][]): Standing {
	return {
		announcement: undefined,
		revoked: new Set(),
		purged: new Map(purged.map(([title]) => [title, { at: 0, since: NOW }])),
		bans: {
			epoch,
			version: 1,
			purged: purged.map(([title, at]) => ({ title, at })),
		},
	};
}

/** A box's disk and its word; `said` is what stands to be sent. */
async function scene(t: Test) {
	const data = t.testdir({ shards: {}, holders: {}, keys: {}, control: {} });
	const keyPair = generateKeyPair();
	const boxId = keyPair.publicKey.toString("hex") as BoxId;
	let sent: readonly Signed[] | undefined;
	const over = new Set<TitleId>();
	/** Whose key the disk does not let go. */
	const stuck = new Set<TitleId>();
	const lines = new Happenings<string>();
	const control = {
		standing: standing(1),
		attest: (statements: readonly Signed[] | undefined) => {
			sent = statements;
		},
	};
	const clear = (id: TitleId, ...folders: string[]) =>
		Promise.all(
			folders.map((folder) =>
				rm(join(data, folder, id), { recursive: true, force: true }),
			),
		);
	const open = async () => {
		const attests = await Attests.open({
			...{ data, control, log: heard(lines), now: () => NOW },
			identity: { keyPair, boxId, network: NETWORK },
			mayRemove: (id) => over.has(id),
			remove: async (id) => void (await clear(id, "shards", "holders", "keys")),
			forgetKey: async (id) => {
				if (stuck.has(id)) throw new Error("EIO");
				await clear(id, "keys");
			},
		});
		t.teardown(() => attests.close());
		return attests;
	};
	const said = (): Attestation[] =>
		(sent ?? []).map((signed) => {
			const read = readAttestation(signed, NETWORK, boxId);
			if (!read.ok) throw new Error(read.reason);
			return read.value;
		});
	return { data, control, over, stuck, lines, open, said };
}

t.test("what is on the disk is hidden, what is not is deleted", async (t) => {
	const { data, control, over, open, said } = await scene(t);
	const [held, keyed, told, strange] = [
		...[newTitle(), newTitle(), newTitle(), newTitle()],
	] as const;
	await mkdir(join(data, "shards", held));
	await writeFile(join(data, "shards", held, "manifest"), "m");
	await writeFile(join(data, "keys", keyed), "sealed");
	await writeFile(join(data, "holders", told), "table");
	const attests = await open();
	await attests.look();
	t.same(said(), [], "nothing was taken back");
	control.standing = standing(
		1,
		[held, 1],
		[keyed, 2],
		[told, 3],
		[strange, 4],
	);
	await attests.look();
	t.match(
		said().map(({ title, ordered, state }) => [title, ordered, state]),
		[
			[held, 1, "hidden"],
			[keyed, 2, "deleted"],
			[told, 3, "hidden"],
			[strange, 4, "deleted"],
		],
	);
	t.notOk(existsSync(join(data, "keys", keyed)), "a key goes at once");
	const [first] = said();
	await attests.acknowledged(1);
	t.equal(said().length, 4, "another message was acknowledged");
	await attests.acknowledged(first?.at ?? 0);
	t.same(said(), []);
	await attests.look();
	t.same(said(), [], "it need not be repeated");

	over.add(held);
	over.add(told);
	await attests.look();
	t.match(
		said().map(({ title, state }) => [title, state]),
		[
			[held, "deleted"],
			[told, "deleted"],
		],
	);
	t.ok((said()[0]?.at ?? 0) > (first?.at ?? 0), "by a clock that stands still");
	await attests.acknowledged(said()[0]?.at ?? 0);

	await t.test("a restart goes on", async (t) => {
		await attests.close();
		const again = await open();
		await again.look();
		t.same(said(), []);
		await mkdir(join(data, "shards", held));
		over.clear();
		await again.look();
		t.match(said(), [{ title: held, state: "hidden" }], "it is back");
		await rm(join(data, "shards", held), { recursive: true });
		control.standing = standing(1, [held, 5]);
		await again.look();
		t.match(said(), [{ title: held, ordered: 5 }], "taken back once more");
		await again.acknowledged(said()[0]?.at ?? 0);
		control.standing = standing(2, [held, 5]);
		await again.look();
		t.match(said(), [{ title: held }], "a restored headend knows nothing");
		control.standing = standing(2);
		await again.look();
		t.same(said(), [], "given back");
	});
});

t.test("many are told one message after the other", async (t) => {
	const { control, open, said } = await scene(t);
	const titles = Array.from({ length: MAX_ATTESTED + 1 }, newTitle);
	control.standing = standing(
		1,
		...titles.map((id): [TitleId, number] => [id, 1]),
	);
	const attests = await open();
	await attests.look();
	t.equal(said().length, MAX_ATTESTED);
	await attests.acknowledged(said()[0]?.at ?? 0);
	t.match(said(), [{ title: titles.at(-1) }]);
	await attests.acknowledged(said()[0]?.at ?? 0);
	t.same(said(), []);
});

t.test("what stays is said, for a log that veils titles", async (t) => {
	const { data, control, stuck, lines, open, said } = await scene(t);
	const title = newTitle();
	await writeFile(join(data, "keys", title), "sealed");
	stuck.add(title);
	control.standing = standing(1, [title, 1]);
	await (await open()).look();
	t.match(said(), [{ title, state: "hidden" }]);
	t.match(await lines.until((line) => /not removed/.test(line)), title);
});
