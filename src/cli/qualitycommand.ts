import type { Command } from "commander";
import { DAY, HOUR } from "../base/time.ts";
import { HeadendClient } from "../headend/api/client.ts";
import { KEPT } from "../headend/fleet/quality.ts";
import type { QualityView } from "../headend/fleet/qualityview.ts";
import { short, type TitleId } from "../wire/ids.ts";
import { whole } from "./argument.ts";
import { DIR } from "./folder.ts";
import { formatSpan, print, printJson, table, tint } from "./output.ts";

/** `larder quality`: how titles were to watch. */
export function addQualityCommand(program: Command): void {
	program
		.command("quality")
		.description("how titles were to watch, by title and region")
		.option(
			"--hours <hours>",
			"how far back",
			whole(1, KEPT / HOUR),
			DAY / HOUR,
		)
		.option(...DIR)
		.option("--json", "print JSON")
		.action(
			async ({
				dir,
				hours,
				json,
			}: {
				dir: string;
				hours: number;
				json?: true;
			}) => {
				const headend = await HeadendClient.open(dir);
				const views = await headend.quality(hours);
				if (json) return printJson(views);
				if (views.length === 0)
					return print(
						`nothing was watched in ${hours} h, as far as boxes tell`,
					);
				const names = new Map(
					(await headend.titles()).map(({ id, name }) => [id, name]),
				);
				print(tableOf(views, names).join("\n"));
			},
		);
}

function tableOf(
	views: readonly QualityView[],
	names: ReadonlyMap<TitleId, string>,
): string[] {
	const head = [
		...["title", "region", "watched", "starts", "start p50", "p95"],
		...["stalls", "per h", "Mbit/s", "disk", "neighbours"],
		...["near, by level", "origin", "missed"],
	].map((name) => tint("faint", name));
	return table(
		[head, ...views.map((view) => row(view, names.get(view.title)))],
		[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
	);
}

function row(view: QualityView, name: string | undefined): string[] {
	const { disk, neighbours, near, origin } = view;
	const bytes = disk + neighbours + origin;
	const share = (part: number) =>
		bytes === 0 ? "–" : `${((100 * part) / bytes).toFixed(1)} %`;
	const seconds = (value: number | null) =>
		value === null ? "–" : `${value.toFixed(2)} s`;
	const misses = Object.entries(view.misses).toSorted(([, a], [, b]) => b - a);
	return [
		name ?? short(view.title),
		view.region,
		formatSpan(view.played),
		String(view.starts),
		seconds(view.startP50),
		seconds(view.startP95),
		view.stalls === 0 ? "0" : tint("warn", String(view.stalls)),
		view.stallsPerHour === null ? "–" : view.stallsPerHour.toFixed(2),
		(view.bitrate / 1e6).toFixed(2),
		...[share(disk), share(neighbours)],
		near.some((part) => part > 0) ? near.map(share).join(" ") : "–",
		share(origin),
		misses.map(([cause, count]) => `${count} ${cause}`).join(", "),
	];
}
