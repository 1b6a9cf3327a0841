import { LarderError } from "../base/errors.ts";
import type { TitleView } from "../headend/api/show.ts";
import type { BoxView } from "../headend/fleet/views.ts";
import { short } from "../wire/ids.ts";

export const BOX = [
	"<box>",
	"serial number, or the beginning of the id as `larder boxes` prints it",
] as const;
export const TITLE = [
	"<title>",
	"your own id, or the beginning of the id as `larder titles` prints it",
] as const;

/** The box of that serial, or the only one whose id begins so. Throws BOX_UNKNOWN. */
export function findBox(boxes: readonly BoxView[], text: string): BoxView {
	const bySerial = boxes.filter(({ serial }) => serial === text);
	const byId = boxes.filter(({ id }) => id.startsWith(text.toLowerCase()));
	const found = bySerial.length > 0 ? bySerial : byId;
	const [box, other] = found;
	if (box === undefined || text === "")
		throw new LarderError("BOX_UNKNOWN", `no box has reported as "${text}"`);
	if (other === undefined) return box;
	const ids = found.slice(0, 5).map(({ id }) => short(id));
	throw new LarderError(
		"BOX_UNKNOWN",
		`${found.length} boxes are "${text}" (${ids.join(", ")} …): give more of the id`,
	);
}

/** The only title whose id begins so; else the newest version of that asset. Throws TITLE_UNKNOWN. */
export function findTitle(
	titles: readonly TitleView[],
	text: string,
): TitleView {
	const byId = titles.filter(({ id }) => id.startsWith(text.toLowerCase()));
	const [title, other] = byId;
	if (title !== undefined && other === undefined) return title;
	const newest = titles
		.filter(({ assetId }) => assetId === text)
		.sort((a, b) => b.version - a.version)[0];
	if (newest !== undefined) return newest;
	const what = other === undefined ? "no title is" : "more than one title is";
	throw new LarderError("TITLE_UNKNOWN", `${what} "${text}"`);
}
