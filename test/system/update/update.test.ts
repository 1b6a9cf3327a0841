import { existsSync } from "node:fs";
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { openDesk } from "../desk.ts";
import { addUnit, bundle, Line, release } from "./network.ts";

t.setTimeout(240_000);

t.test(
	"a release over the swarm, from the key to a proven agent",
	async (t) => {
		const desk = await openDesk(t, { copies: 1 });
		const { id, dir, unit } = await addUnit(t, desk, "one");
		const line = await Line.open(t, desk, id);
		const next = await release(desk, await bundle(join(dir, "next"), "0.2.0"));

		t.match(await line.ask(id, next.order), { ok: true });
		await line.states.until(({ update }) => update?.phase === "fetching");
		await unit.happenings.until(({ what }) => what === "ended");
		t.match(unit.happenings.all.at(-1), { what: "ended", how: 75 });
		await line.states.until(
			({ version, update }) => version === "0.2.0" && update?.phase === "trial",
		);
		await unit.happenings.until(
			({ what }) => what === "proven",
			unit.happenings.all.length - 1,
		);
		await line.states.until(
			({ version, online, update }) =>
				version === "0.2.0" && online && update === undefined,
		);
		const releases = join(dir, "state/releases");
		t.equal(await readlink(join(releases, "current")), "0.2.0");
		t.notOk(existsSync(join(releases, "trial")));
		t.same((await readdir(releases)).toSorted(), ["0.2.0", "current"]);

		t.match(await line.ask(id, next.order), {
			ok: false,
			code: "UPDATE_REFUSED",
			detail: /not newer/,
		});
	},
);
