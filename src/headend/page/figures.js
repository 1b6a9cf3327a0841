import { byLevel, bytes, el, meter, percent, plural } from "./format.js";

/** The cards at the top: what a region amounts to. */
export function showFigures(parent, overview, titles) {
	const several = overview.regions.length > 1;
	const catalog = titles.reduce((sum, title) => sum + title.size, 0);
	const all = overview.regions.flatMap((region) =>
		cards(region, titles.length, catalog).map(([name, ...content]) =>
			card(several ? `${name}, ${region.region}` : name, content),
		),
	);
	if (overview.origin !== null)
		all.push(originCard(overview.origin.bytesSent, catalog));
	parent.replaceChildren(...all);
}

function card(name, content) {
	return el("article.figure", {}, el("h2", {}, name), ...content);
}

function originCard(sent, catalog) {
	const times = catalog > 0 ? (sent / catalog).toFixed(2) : "0";
	return card("Sent by the origin", [
		figure(bytes(sent)),
		el("p", {}, `${times} × all titles, since the headend started`),
	]);
}

function cards(region, titles, catalog) {
	const played =
		region.playedFromDisk +
		region.playedFromNeighbours +
		region.playedFromOrigin;
	const came = region.fromNeighbours + region.fromOrigin;
	const awake = region.online - region.standby;
	return [
		[
			"Boxes online",
			figure(region.online, `of ${region.boxes.toLocaleString("en")}`),
			el(
				"p",
				{},
				region.standby === 0
					? `${awake} active`
					: `${awake} active, ${region.standby} in standby`,
			),
			meter(
				[
					[awake / region.boxes, "near"],
					[region.standby / region.boxes, "disk"],
				],
				"boxes online",
			),
		],
		[
			"Fill level",
			figure(percent(region.held, region.placed)),
			el(
				"p",
				{},
				`${bytes(region.held)} held of ${bytes(region.placed)} placed`,
			),
			meter([[region.held / region.placed, "near"]], "held of placed"),
		],
		[
			"Room on the boxes",
			figure(bytes(region.used), `of ${bytes(region.capacity)}`),
			el("p", {}, `for ${plural(titles, "title")}, ${bytes(catalog)}`),
			...(region.missing > 0
				? [el("p", {}, `${bytes(region.missing)} of what is placed has none`)]
				: []),
			meter([[region.used / region.capacity, "near"]], "used of capacity"),
		],
		[
			"Fetched by boxes",
			came === 0
				? figure("nothing", "yet")
				: figure(percent(region.fromNeighbours, came), "from neighbours"),
			keys([
				["near", "neighbours", region.fromNeighbours],
				["origin", "origin", region.fromOrigin],
			]),
			...nearness(region),
			meter(
				[
					[region.fromNeighbours / came, "near"],
					[region.fromOrigin / came, "origin"],
				],
				"fetched from neighbours and from the origin",
			),
		],
		[
			"Watched",
			played === 0
				? figure("nothing", "yet")
				: figure(
						percent(played - region.playedFromOrigin, played),
						"off the trunk",
					),
			keys([
				["disk", "own disk", region.playedFromDisk],
				["near", "neighbours", region.playedFromNeighbours],
				["origin", "origin", region.playedFromOrigin],
			]),
			meter(
				[
					[region.playedFromDisk / played, "disk"],
					[region.playedFromNeighbours / played, "near"],
					[region.playedFromOrigin / played, "origin"],
				],
				"watched from own disk, neighbours and the origin",
			),
		],
	];
}

/** How near neighbours were to each other, where the operator says where boxes are. */
function nearness(region) {
	const { fromLevel0, fromLevel1, fromLevel2, fromLevel3 } = region;
	const near = [fromLevel0, fromLevel1, fromLevel2, fromLevel3];
	const levels = byLevel(near, region.fromNeighbours);
	return levels === "" ? [] : [el("p", {}, `of neighbours ${levels}`)];
}

function figure(text, small = "") {
	return el("strong", {}, String(text), el("small", {}, small));
}

function keys(parts) {
	return el(
		"p",
		{},
		...parts.map(([tone, name, count]) =>
			el(`span.key.${tone}`, {}, el("span", {}, `${bytes(count)} ${name}`)),
		),
	);
}
