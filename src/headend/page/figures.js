import { bytes, el, meter, percent, plural } from "./format.js";

/** The cards at the top: what a region amounts to. */
export function showFigures(parent, overview, titles) {
	const several = overview.regions.length > 1;
	parent.replaceChildren(
		...overview.regions.flatMap((region) =>
			cards(region, titles).map(([name, ...content]) =>
				el(
					"article.figure",
					{},
					el("h2", {}, several ? `${name}, ${region.region}` : name),
					...content,
				),
			),
		),
	);
}

function cards(region, titles) {
	const played =
		region.playedFromDisk +
		region.playedFromNeighbours +
		region.playedFromOrigin;
	const came = region.fromNeighbours + region.fromOrigin;
	const awake = region.online - region.standby;
	const catalog = titles.reduce((sum, title) => sum + title.size, 0);
	return [
		[
			"Boxes online",
			figure(region.online, ` of ${region.boxes.toLocaleString("en")}`),
			el("p", {}, `${awake} active, ${region.standby} in standby`),
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
			figure(bytes(region.used), ` of ${bytes(region.capacity)}`),
			el("p", {}, `for ${plural(titles.length, "title")}, ${bytes(catalog)}`),
			meter([[region.used / region.capacity, "near"]], "used of capacity"),
		],
		[
			"Fetched by boxes",
			figure(percent(region.fromNeighbours, came), " from neighbours"),
			keys([
				["near", "neighbours", region.fromNeighbours],
				["origin", "origin", region.fromOrigin],
			]),
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
			figure(
				percent(played - region.playedFromOrigin, played),
				" off the trunk",
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
