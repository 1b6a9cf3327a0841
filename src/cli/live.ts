import { formatBytes } from "../base/units.ts";
import type { Neighbourhood } from "../desk/neighbourhood.ts";
import { table } from "./output.ts";

const BAR = 20;
const EVERY = 200;

/** The boxes' fill levels as they were last reported, drawn over on a terminal; one line a second elsewhere. */
export class LiveTable {
	private readonly neighbourhood: Neighbourhood;
	private readonly terminal = process.stderr.isTTY === true;
	private drawn = 0;
	private lines = 0;

	constructor(neighbourhood: Neighbourhood) {
		this.neighbourhood = neighbourhood;
	}

	draw(): void {
		const now = Date.now();
		if (now - this.drawn < (this.terminal ? EVERY : 1_000)) return;
		this.drawn = now;
		if (this.terminal) this.over(this.rows());
		else {
			const { placed, held, heldBytes } = this.neighbourhood.levels();
			process.stderr.write(
				`filling: ${held} of ${placed} shards, ${formatBytes(heldBytes)}\n`,
			);
		}
	}

	end(): void {
		if (this.terminal) this.over(this.rows());
		this.lines = 0;
	}

	private rows(): string[] {
		const { observer, boxes } = this.neighbourhood;
		const rows = boxes.map((box) => {
			const fill = observer.fills.get(box.id);
			const phase = observer.reports.get(box.id)?.phase ?? "";
			const { placed = 0, held = 0 } = fill?.shards ?? {};
			const share = placed > 0 ? held / placed : 0;
			return [
				box.name,
				"█".repeat(Math.round(share * BAR)).padEnd(BAR, "░"),
				`${held}/${placed}`,
				formatBytes(fill?.usedSpace ?? 0),
				`${fill?.neighbours ?? 0}`,
				formatBytes(fill?.counters.fromNeighbours ?? 0),
				formatBytes(fill?.counters.fromOrigin ?? 0),
				formatBytes(fill?.counters.toNeighbours ?? 0),
				phase,
			];
		});
		const head = [
			"box",
			"fill",
			"shards",
			"on disk",
			"nbrs",
			"from nbrs",
			"from origin",
			"to nbrs",
			"",
		];
		return table([head, ...rows]);
	}

	private over(rows: readonly string[]): void {
		const up = this.lines > 0 ? `\x1b[${this.lines}A` : "";
		process.stderr.write(
			`${up}${rows.map((row) => `\x1b[2K${row}\n`).join("")}`,
		);
		this.lines = rows.length;
	}
}
