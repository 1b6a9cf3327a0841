import c from "compact-encoding";
import t from "tap";
import type { Transport } from "../../src/swarm/guard.ts";
import { admit } from "../../src/swarm/membership.ts";
import {
	parseEnvelope,
	type Signer,
	seal,
	trustIn,
} from "../../src/wire/envelope.ts";
import { EXCHANGE } from "../../src/wire/exchange.ts";
import type { Head } from "../../src/wire/head.ts";
import type { BoxId } from "../../src/wire/ids.ts";
import { INVENTORY } from "../../src/wire/inventory.ts";
import { generateKeyPair } from "../../src/wire/keys.ts";
import {
	hold,
	makeOperator,
	makeTitle,
	type TestBox,
	until,
} from "../fixture.ts";
import { FORGERIES } from "./forgeries.ts";
import { makeRegion, type TestRegion } from "./region.ts";
import { grab, knock, membershipOf } from "./stranger.ts";

t.setTimeout(120_000);

const title = makeTitle(100_000, 4096, 8);

/** A head that revokes so many boxes. */
function makeHead(signer: Signer, revoked: number): Head {
	const boxes = Array.from({ length: revoked }, (_, i) =>
		i.toString(16).padStart(64, "0"),
	);
	const bytes = seal(signer, { version: revoked, revoked: boxes });
	const read = parseEnvelope(JSON.parse(bytes.toString()));
	if (!read.ok) throw new Error(read.detail);
	return { bans: read.value };
}

/** A box that holds a title and counts no byte given. */
async function holder(
	region: TestRegion,
	revoked: Set<string>,
): Promise<TestBox> {
	const box = await region.box("a", {
		membership: { isRevoked: (id: BoxId) => revoked.has(id) },
	});
	await hold(box, title);
	return box;
}

for (const transport of ["udx", "tcp"] as const) {
	t.test(`who is not a member gets nothing over ${transport}`, async (t) => {
		const region = await makeRegion(t);
		const revoked = new Set<string>();
		const a = await holder(region, revoked);
		for (const [slug, certificate] of Object.entries(FORGERIES)) {
			const key = generateKeyPair();
			if (slug === "revoked") revoked.add(key.publicKey.toString("hex"));
			const stranger = await knock(region, a, key, transport);
			const me = {
				...membershipOf(region, certificate(region, key)),
				// A headend has no such port, nor does it come over TCP.
				...(slug === "role" && { tcp: () => ({ port: 1 }) }),
			};
			let admitted = false;
			admit(stranger.mux, transport, me, {
				onProven: () => undefined,
				onMember: () => {
					admitted = true;
				},
				onRefused: () => undefined,
			});
			const got = grab(stranger, title.id);
			await stranger.closed;
			t.notOk(admitted, slug);
			t.equal(got.chunks, 0, slug);
			await until(() => a.swarm.refusals.get(slug) === 1);
			await stranger.end();
		}
		t.same(new Set(a.swarm.refusals.keys()), new Set(Object.keys(FORGERIES)));
		t.equal(a.swarm.neighbours.size, 0);
		t.equal(a.traffic.to, 0);
	});

	t.test(`a hello that is none is refused over ${transport}`, async (t) => {
		const region = await makeRegion(t);
		const a = await holder(region, new Set());
		const hellos: Record<string, Buffer | undefined> = {
			"not-json": Buffer.from("{"),
			"bad-schema": Buffer.from("{}"),
			"too-large": Buffer.alloc(70_000, " "),
			silent: undefined,
		};
		for (const [slug, bytes] of Object.entries(hellos)) {
			const key = generateKeyPair();
			const stranger = await knock(region, a, key, transport);
			const protocol = "larder/membership/1";
			const channel = stranger.mux.createChannel({ protocol })!;
			const greeting = channel.addMessage({ encoding: c.raw });
			channel.open();
			if (bytes !== undefined) greeting.send(bytes);
			const got = grab(stranger, title.id);
			await stranger.closed;
			t.equal(got.chunks, 0, slug);
			await until(() => a.swarm.refusals.get(slug) === 1);
			await stranger.end();
		}
		t.equal(a.traffic.to, 0);
	});

	t.test(
		`a long frame before admission ends it over ${transport}`,
		async (t) => {
			const region = await makeRegion(t);
			const a = await holder(region, new Set());
			const key = generateKeyPair();
			const stranger = await knock(region, a, key, transport);
			stranger.stream.write(Buffer.alloc(200_000));
			await stranger.closed;
			await until(() => a.swarm.refusals.get("gone") === 1);
			t.equal(a.swarm.refusals.size, 1, "cut at once, not for being silent");
			await stranger.end();
		},
	);
}

t.test("TCP that comes before its box is a neighbour waits", async (t) => {
	const region = await makeRegion(t);
	const a = await holder(region, new Set());
	const key = generateKeyPair();
	const me = membershipOf(region, region.operator.certify(key));
	const order: string[] = [];
	const come = async (transport: Transport) => {
		const stranger = await knock(region, a, key, transport);
		t.teardown(() => stranger.end());
		const proven = Promise.withResolvers<void>();
		const member = new Promise<void>((resolve, reject) =>
			admit(stranger.mux, transport, me, {
				onProven: () => {
					proven.resolve();
					return undefined;
				},
				onMember: () => {
					order.push(transport);
					for (const protocol of [INVENTORY, EXCHANGE])
						stranger.mux.createChannel({ protocol })?.open();
					resolve();
				},
				onRefused: (slug) => reject(new Error(slug)),
			}),
		);
		await proven.promise;
		return { member };
	};
	const bulk = await come("tcp");
	await come("udx");
	await bulk.member;
	t.same(order, ["udx", "tcp"]);
	const neighbour = a.swarm.neighbours.get(
		key.publicKey.toString("hex") as BoxId,
	);
	await until(() => neighbour?.bulk !== undefined);
	t.equal(a.swarm.refusals.size, 0);
});

t.test("TCP alone lets nobody in", async (t) => {
	const region = await makeRegion(t);
	const a = await holder(region, new Set());
	const key = generateKeyPair();
	const stranger = await knock(region, a, key, "tcp");
	const me = membershipOf(region, region.operator.certify(key));
	admit(stranger.mux, "tcp", me, {
		onProven: () => undefined,
		onMember: () => t.fail("let in"),
		onRefused: () => undefined,
	});
	const got = grab(stranger, title.id);
	await stranger.closed;
	await stranger.end();
	t.equal(got.chunks, 0);
	t.same([...a.swarm.refusals], [["no-neighbour", 1]]);
});

t.test("membership is asked of both sides", async (t) => {
	const region = await makeRegion(t);
	const a = await holder(region, new Set());
	const key = generateKeyPair();
	// A box of another operator, which runs what this one runs.
	const foreign = makeOperator();
	const b = await region.box("b", { key, operator: foreign });
	const stranger = await knock(region, b, generateKeyPair(), "udx");
	const me = membershipOf(region, region.operator.certify(key));
	await new Promise<void>((resolve) => {
		admit(stranger.mux, "udx", me, {
			onProven: () => {
				t.fail("a foreign box passed");
				return undefined;
			},
			onMember: () => t.fail("a foreign box let us in"),
			onRefused: (slug) => {
				t.equal(slug, "bad-signature");
				resolve();
			},
		});
	});
	await stranger.end();
	t.equal(a.swarm.neighbours.size, 0);
});

t.test("who is revoked later is cut, and stays out", async (t) => {
	const region = await makeRegion(t);
	const revoked = new Set<string>();
	const a = await holder(region, revoked);
	const b = await region.box("b");
	await until(() => a.swarm.neighbours.get(b.id)?.bulk !== undefined);
	revoked.add(b.id);
	a.swarm.headChanged();
	await until(() => b.swarm.neighbours.size === 0);
	await until(() => (a.swarm.refusals.get("revoked") ?? 0) > 0);
	t.equal(a.swarm.neighbours.size, 0);
});

t.test("a lease is renewed while neighbours are connected", async (t) => {
	const region = await makeRegion(t);
	const { operator } = region;
	const time = { now: Date.now() };
	const trust = {
		...trustIn(operator.root.publicKey, () => time.now),
		latest: () => Number.POSITIVE_INFINITY,
	};
	const notAfter = time.now + 1e6;
	const key = generateKeyPair();
	const shown = { certificate: operator.certify(key, { notAfter }) };
	const a = await region.box("a", {
		key,
		membership: { certificate: () => shown.certificate },
	});
	const b = await region.box("b", { membership: { trust } });
	await until(() => b.swarm.neighbours.has(a.id));
	const { member } = b.swarm.neighbours.get(a.id)!;
	t.equal(member?.certificate.notAfter, notAfter);

	shown.certificate = operator.certify(key, { notAfter: notAfter + 1e6 });
	a.swarm.renewed();
	await until(() => member?.certificate.notAfter === notAfter + 1e6);
	shown.certificate = operator.certify(generateKeyPair());
	a.swarm.renewed();
	time.now = notAfter;
	b.swarm.headChanged();
	t.ok(b.swarm.neighbours.has(a.id), "by the new one, and no other");
	t.equal(member?.certificate.notAfter, notAfter + 1e6);

	shown.certificate = operator.certify(key);
	time.now = notAfter + 1e6;
	b.swarm.headChanged();
	await until(() => !b.swarm.neighbours.has(a.id));
	t.pass("cut when it ends, too");
});

t.test("a key that is retired takes its members along", async (t) => {
	const region = await makeRegion(t);
	const { operator } = region;
	const trust = trustIn(operator.root.publicKey, Date.now);
	const a = await region.box("a");
	const b = await region.box("b", { membership: { trust } });
	await until(() => b.swarm.neighbours.has(a.id));
	trust.minimum.set("issuer", 2);
	b.swarm.headChanged();
	await until(() => (b.swarm.refusals.get("retired-key") ?? 0) > 0);
	t.notOk(b.swarm.neighbours.has(a.id), "and keeps them out");
});

t.test(
	"what a neighbour is told is in force before it is let in",
	async (t) => {
		const region = await makeRegion(t);
		const head = makeHead(region.operator.signer("revoke"), 1);
		const revoked = new Set<string>();
		const order: string[] = [];
		const key = generateKeyPair();
		const a = await region.box("a", {
			key,
			membership: { currentHead: () => head },
		});
		const b = await region.box("b", {
			membership: {
				isRevoked: (box: BoxId) => revoked.has(box),
				offerHead() {
					order.push("head");
					revoked.add(a.id);
				},
			},
		});
		await until(() => (b.swarm.refusals.get("revoked") ?? 0) > 0);
		t.notOk(b.swarm.neighbours.has(a.id), "by the head that it brought");
		t.ok(order.length > 0);
	},
);

t.test("heads pass between neighbours, however long", async (t) => {
	const region = await makeRegion(t);
	const { operator } = region;
	const signer = operator.signer("revoke");
	const heads = new Map<string, Head[]>();
	const box = (name: string, head: () => Head | undefined) =>
		region.box(name, {
			membership: {
				currentHead: head,
				offerHead: (offered) => {
					heads.set(name, [...(heads.get(name) ?? []), offered]);
				},
			},
		});
	let current = makeHead(signer, 1);
	const a = await box("a", () => current);
	await box("b", () => undefined);
	await until(() => heads.get("b")?.length === 1);
	t.same(heads.get("b"), [current]);
	// Longer than any hello.
	current = makeHead(signer, 3000);
	a.swarm.headChanged();
	await until(() => heads.get("b")?.length === 2);
	t.same(heads.get("b")![1], current);
	await box("c", () => undefined);
	await until(() => (heads.get("c")?.length ?? 0) > 0);
	t.same(heads.get("c")![0], current);
	// Of two boxes that dial each other at once, one hangs up.
	const slugs = [...a.swarm.refusals.keys()];
	t.same(
		slugs.filter((slug) => slug !== "gone"),
		[],
	);
});
