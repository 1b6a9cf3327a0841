import type { Millis } from "../../base/units.ts";
import type { BoxId, TitleId } from "../../wire/ids.ts";
import type { Statements } from "../fleet/database.ts";
import type { Rule } from "./policy.ts";

/** A rule for one box and title, or for a title and every box that has no rule of its own. */
export interface RuleView {
	readonly title: TitleId;
	readonly box: BoxId | null;
	readonly rule: Rule;
	readonly at: Millis;
}

/** Stands for every box: a column of a primary key cannot be null. */
const EVERY = "";

/** Makes or replaces a rule; undefined takes it away. */
export async function setRule(
	db: Statements,
	title: TitleId,
	box: BoxId | undefined,
	rule: Rule | undefined,
	now: Millis,
): Promise<void> {
	if (rule === undefined)
		await db.query("DELETE FROM entitlements WHERE title = $1 AND box = $2", [
			title,
			box ?? EVERY,
		]);
	else
		await db.query(
			`INSERT INTO entitlements (title, box, rule, at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (title, box) DO UPDATE SET rule = excluded.rule, at = excluded.at`,
			[title, box ?? EVERY, rule, now],
		);
}

/** What counts for a box: its own rule, else that of the title. */
export async function ruleFor(
	db: Statements,
	title: TitleId,
	box: BoxId,
): Promise<Rule | undefined> {
	const { rows } = await db.query<{ rule: Rule }>(
		"SELECT rule FROM entitlements WHERE title = $1 AND box IN ($2, $3) ORDER BY box DESC LIMIT 1",
		[title, box, EVERY],
	);
	return rows[0]?.rule;
}

/** Newest first. */
export async function listRules(db: Statements): Promise<RuleView[]> {
	const { rows } = await db.query<RuleView>(
		"SELECT title, nullif(box, $1) AS box, rule, at FROM entitlements ORDER BY at DESC, title, box",
		[EVERY],
	);
	return rows;
}
