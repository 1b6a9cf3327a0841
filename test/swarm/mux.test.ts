import t from "tap";
import { generateKeyPair } from "../../src/wire/keys.ts";
import { hold, makeTitle, until } from "../fixture.ts";
import { fill, has, makeRegion, meet } from "./region.ts";
import { knock, type Stranger, sneakIn } from "./stranger.ts";

t.setTimeout(120_000);

const title = makeTitle(100_000, 4096, 8);

/** A frame of Protomux as it goes over the wire: anybody can write it. */
const FRAMES: Record<string, (stranger: Stranger) => void> = {
	"batches in batches": ({ stream }) => {
		const batch = Buffer.from([0, 0]);
		const inner = Buffer.from([0, 0xfd, 0xff, 0xff, 0]);
		stream.write(Buffer.concat([batch, ...Array(18_000).fill(inner)]));
	},
	"channels without end": ({ stream }) => {
		for (let n = 1; n < 5000; n++) {
			const open = Buffer.from([0, 1, 0xfd, n & 0xff, n >> 8, 1, 0x78, 0]);
			stream.write(open);
		}
	},
	"a channel that cannot be": ({ stream }) =>
		void stream.write(Buffer.from([0, 1, 99, 1, 0x78, 0])),
	"the refusal of a channel that was not opened": ({ stream }) =>
		void stream.write(Buffer.from([0, 2, 99])),
	"half a number": ({ stream }) => void stream.write(Buffer.from([0xff, 1])),
};

for (const transport of ["udx", "tcp"] as const) {
	for (const [what, send] of Object.entries(FRAMES)) {
		t.test(
			`${what} over ${transport}, by a stranger: the connection ends, the box does not`,
			async (t) => {
				const region = await makeRegion(t);
				const box = await region.box("box");
				const stranger = await knock(region, box, generateKeyPair(), transport);
				send(stranger);
				await stranger.closed;
				await until(() => box.swarm.refusals.has("gone"));
				t.equal(box.swarm.refusals.get("gone"), 1);
				await stranger.end();
			},
		);
	}
}

for (const [what, send] of Object.entries(FRAMES)) {
	t.test(`${what}, by a member: others are served as before`, async (t) => {
		const region = await makeRegion(t);
		const box = await region.box("box");
		await hold(box, title);
		const rogue = await sneakIn(region, box);
		send(rogue);
		await rogue.closed;
		await rogue.end();
		const honest = await region.box("honest");
		await meet(honest, box);
		await fill(honest, title);
		t.ok(await has(honest, title));
	});
}
