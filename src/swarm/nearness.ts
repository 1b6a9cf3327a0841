import type { BoxId } from "../wire/ids.ts";
import {
	FAR,
	type Groups,
	type Level,
	levelOf,
	type Tags,
	tagsOf,
} from "../wire/near.ts";

/** How near one neighbour is, and what it is shown of that. Reckoned anew when either side is told of other groups. */
export class Nearness {
	private readonly groups: () => Groups;
	private readonly mine: BoxId;
	private readonly theirs: BoxId;
	private reckoned:
		| { readonly tags: Tags; readonly groups: Groups; readonly level: Level }
		| undefined;

	/** @param groups those that this box is in; the same list as long as they are the same */
	constructor(groups: () => Groups, mine: BoxId, theirs: BoxId) {
		this.groups = groups;
		this.mine = mine;
		this.theirs = theirs;
	}

	/** For the other side to see; undefined when this box is in no group. */
	get shown(): Tags | undefined {
		const groups = this.groups();
		if (groups.length === 0) return undefined;
		return tagsOf(groups, this.mine, this.theirs);
	}

	/** @param tags what the other side has shown */
	level(tags: Tags | undefined): Level {
		const groups = this.groups();
		if (tags === undefined || groups.length === 0) return FAR;
		if (this.reckoned?.tags !== tags || this.reckoned.groups !== groups) {
			const level = levelOf(tags, groups, this.theirs, this.mine);
			this.reckoned = { tags, groups, level };
		}
		return this.reckoned.level;
	}
}
