import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { HeadendClient } from "../../src/headend/api/client.ts";
import { FAR } from "../../src/wire/near.ts";
import {
	addBoxes,
	addViewer,
	filled,
	larder,
	openDesk,
	play,
	poll,
	publishFilm,
} from "./desk.ts";

const SIZE = 4 * 1024 * 1024;

t.setTimeout(240_000);

t.test("bytes arrive at the operator by how near they came from", async (t) => {
	const desk = await openDesk(t, { copies: 3 });
	const operator = desk.operator.dir;
	const film = await publishFilm(desk, SIZE);
	const boxes = await addBoxes(desk, 3);
	await filled(desk, film.shards * 3);

	// The viewer's receiver is listed before it comes; box-3 is beside none of them.
	const file = join(desk.dir, "places.csv");
	const places = ["serial,street,node", "box-1,s1,n1", "box-2,s2,n1"];
	await writeFile(file, [...places, "box-4,s1,n1", ""].join("\n"));
	const said = await larder("boxes", "group", "--file", file, "-d", operator);
	t.match(said.said, /^3 boxes have their places; 2 boxes are told/);
	const viewer = await addViewer(desk, film);
	const headend = await HeadendClient.open(operator);
	const viewOf = async (serial: string) =>
		(await headend.boxes()).find((box) => box.serial === serial);
	for (const { name } of [...boxes, viewer])
		await poll(`${name} obeys`, async () => {
			const view = await viewOf(name);
			return view?.rev != null && view.rev === view.saidRev;
		});
	const { bytes, mismatches } = await play(desk, viewer, film);
	t.same({ bytes, mismatches }, { bytes: film.manifest.size, mismatches: 0 });

	await poll("its levels came", async () => {
		await headend.command(viewer.id, { kind: "report" });
		const { fromNeighbours = 0 } = (await viewOf(viewer.name)) ?? {};
		return fromNeighbours >= SIZE;
	});
	const view = await viewOf(viewer.name);
	const { fromNeighbours = 0, near = [] } = view ?? {};
	const [street = 0, node = 0] = near;
	t.equal(near.length, FAR);
	t.ok(street > 0, `${near} of ${fromNeighbours}`);
	t.ok(street + node <= fromNeighbours);
	t.same(near.slice(2), [0, 0]);
	const far = fromNeighbours - street - node;
	t.ok(street >= far, "the box of its street gave as much as one elsewhere");

	const own = await fetch(`${desk.gatewayOf(viewer)}/metrics`);
	t.match(
		await own.text(),
		new RegExp(
			`^larder_from_neighbours_by_level_total{level="0"} ${street}$`,
			"m",
		),
	);
	const page = new URL(await desk.pageUrl);
	const token = page.searchParams.get("token");
	const figures = await fetch(new URL("/api/metrics", page), {
		headers: { authorization: `Bearer ${token}` },
	});
	t.match(
		await figures.text(),
		/^larder_region_from_neighbours_by_level_bytes\{region="[^"]+",level="0"\} [1-9]/m,
	);
	const shown = await larder("boxes", viewer.name, "-d", operator);
	t.match(shown.said, /groups +s1, n1\n/);
	t.match(shown.said, /from neighbours \(.* from near\)/);

	const alone = ["boxes", "group", viewer.name, "--levels", ""];
	await larder(...alone, "-d", operator);
	t.equal((await viewOf(viewer.name))?.levels, null);
});
