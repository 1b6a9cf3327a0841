import t from "tap";
import { DAY, HOUR } from "../../src/base/time.ts";
import { GiB, MiB } from "../../src/base/units.ts";
import { boxRows, boxTable, concernTable } from "../../src/cli/boxes.ts";
import { concernsOf } from "../../src/headend/fleet/concerns.ts";
import type { BoxRow, BoxView } from "../../src/headend/fleet/views.ts";
import type { BoxId, Region } from "../../src/wire/ids.ts";

const NOW = 100 * DAY;

const older: BoxRow = {
	...{ id: "ab".repeat(32) as BoxId, serial: "SN-1", region: "r-1" as Region },
	...{ online: true, revoked: false, revokedAt: null, revokedWhy: null },
	...{ turnedAt: NOW - HOUR, power: "active", reach: "direct", part: "in" },
	...{ version: "0.1.0", capacity: 10 * GiB, used: 4 * GiB, placed: 8 * GiB },
	...{ held: 4 * GiB, neighbours: 3, toldAt: NOW - 5000 },
	...{ reserved: null, reserve: null, missing: null, missingAt: null },
	...{ wear: null, written: null, disk: null, diskAt: null },
	...{ levels: null, near: [0, 0, 0, 0] },
	...{ fromNeighbours: GiB, fromOrigin: MiB, toNeighbours: 2 * GiB },
	...{ rev: 3, saidRev: 3, phase: "short", code: "no-room" },
};
const disk = {
	state: "failing",
	...{ unreadable: 4, changed: 1, mended: 2, scrubbed: GiB },
} as const;
const ill: BoxRow = {
	...older,
	...{ reserved: 5 * GiB, reserve: GiB, missing: 2 * GiB },
	...{ missingAt: NOW - 3 * DAY, disk, diskAt: NOW - 2 * HOUR },
	...{ written: { boot: GiB, all: 9 * GiB } },
	wear: { used: 90, reserve: "normal" },
	...{ levels: ["street7", "node3"], near: [MiB, 2 * MiB, 0, 0] },
};
const viewed = (row: BoxRow): BoxView => ({
	...row,
	concerns: concernsOf(row, NOW),
});

t.test("boxes as lines", async (t) => {
	const [head, first, second] = boxTable([viewed(older), viewed(ill)], NOW);
	t.match(head, /neighbours +version +disk +said$/);
	t.match(first, /SN-1 +online +50 % .* – +short no-room$/);
	t.match(second, / failing +short no-room: 2\.0\d? GiB$/);
});

t.test("all that is known of one", async (t) => {
	const rows = Object.fromEntries(boxRows(viewed(ill), NOW));
	t.match(rows, {
		placement: /held, no room for 2/,
		store: /used, .* with what is begun; .* left to others$/,
		groups: /^street7, node3$/,
		received:
			/from neighbours \(1\.00 MiB \+ 2\.00 MiB \+ 0 B \+ 0 B from near\), /,
		disk: /^failing, 4 unreadable, 1 changed, 2 mended, .* read through$/,
		writes: /since the boot, .* in all, flash is up to 90 % worn$/,
	});
	const plain = Object.fromEntries(boxRows(viewed(older), NOW));
	t.match(plain, { store: /used$/, disk: "–", writes: "–" });
	t.match(plain, { groups: undefined, received: /from neighbours, / });
});

t.test("what needs a person", async (t) => {
	const rows = concernTable([viewed(older), viewed(ill)], NOW).slice(1);
	t.equal(rows.length, 3);
	t.match(rows[0], /SN-1 +r-1 +the disk is failing +2 h +Replace/);
	t.match(rows[1], /the flash is worn: up to 90 %.* – +Lower/);
	t.match(rows[2], /no room for 2.* of what is placed +3 d +Lower copies/);
});
