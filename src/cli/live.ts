import { styleText } from "node:util";
import { formatBytes } from "../base/units.ts";
import type { Counters } from "../wire/reports.ts";
import { table } from "./output.ts";

const BAR = 16;
const HEAD = [
	[
		"box",
		"fill",
		"held",
		"from origin",
		"from boxes",
		"to boxes",
		"played",
		"",
	],
];
const NUMBERS = [2, 3, 4, 5, 6];

const TRAFFIC = [
	"fromOrigin",
	"fromNeighbours",
	"toNeighbours",
	"toPlayers",
] as const satisfies (keyof Counters)[];

/** One box as a line of the table. */
export interface Level {
	readonly name: string;
	readonly shards: { readonly placed: number; readonly held: number };
	readonly counters: Pick<Counters, (typeof TRAFFIC)[number]>;
	/** What keeps it from going on, if anything does. */
	readonly trouble?: string | undefined;
}

/** The boxes' fill levels on standard error: a table that is drawn over on a terminal, elsewhere a line whenever they changed. */
export class LiveTable {
	private readonly screen = process.stderr;
	private readonly spare: number;
	private lines = 0;
	private said = "";

	/** @param spare lines of the terminal that are left to what stands above */
	constructor(spare: number) {
		this.spare = spare;
	}

	/** @param wanted copies of shards to be held in all, when that is known */
	draw(levels: readonly Level[], wanted?: number): void {
		const all = total(levels, wanted);
		if (!this.screen.isTTY) {
			this.say(all);
			return;
		}
		const others = this.spare + HEAD.length + 2;
		const most = Math.max(3, this.screen.rows - others);
		const shown = levels.length > most ? levels.slice(0, most - 1) : levels;
		const more = levels.length - shown.length;
		const rows = table(
			[
				...HEAD,
				...shown.map(row),
				...(more > 0 ? [[`${more} more`]] : []),
				...(levels.length > 1 ? [row(all)] : []),
			],
			NUMBERS,
		);
		this.over(rows.map((line) => line.slice(0, this.screen.columns)));
	}

	/** Leaves the table as it is; what follows goes below. */
	end(): void {
		this.lines = 0;
	}

	private over(rows: readonly string[]): void {
		const up = this.lines > 0 ? `\x1b[${this.lines}A` : "";
		const drawn = rows.map((line) => `${coloured(line)}\x1b[K\n`).join("");
		this.screen.write(`${up}\r${drawn}\x1b[J`);
		this.lines = rows.length;
	}

	private say({ shards: { held, placed }, counters }: Level): void {
		const from = formatBytes(counters.fromOrigin);
		const line = `filling: ${held} of ${placed} shards held, ${from} from the origin`;
		if (line !== this.said) this.screen.write(`${line}\n`);
		this.said = line;
	}
}

function row({ name, shards, counters, trouble = "" }: Level): string[] {
	const { placed, held } = shards;
	const full = Math.floor((placed > 0 ? held / placed : 0) * BAR);
	return [
		name,
		"█".repeat(full).padEnd(BAR, "░"),
		`${held}/${placed}`,
		...TRAFFIC.map((way) => formatBytes(counters[way])),
		trouble,
	];
}

function total(levels: readonly Level[], wanted: number | undefined): Level {
	const sum = (figure: (level: Level) => number) =>
		levels.reduce((all, level) => all + figure(level), 0);
	const count = (way: (typeof TRAFFIC)[number]) =>
		sum(({ counters }) => counters[way]);
	return {
		name: "all",
		shards: {
			placed: wanted ?? sum(({ shards }) => shards.placed),
			held: sum(({ shards }) => shards.held),
		},
		counters: {
			fromOrigin: count("fromOrigin"),
			fromNeighbours: count("fromNeighbours"),
			toNeighbours: count("toNeighbours"),
			toPlayers: count("toPlayers"),
		},
	};
}

/** Bars in colour: whole ones green. */
function coloured(line: string): string {
	return line.replace(/█+(░*)/, (bar, rest) =>
		styleText(rest === "" ? "green" : "yellow", bar, {
			stream: process.stderr,
		}),
	);
}
