/** One thing about a source that a person should mend (a fault) or may want to know (a warning). */
export interface Remark {
	/** Path below the source; `.` for the source as a whole. */
	readonly file: string;
	readonly what: string;
	readonly remedy: string;
}

/** Gathers remarks while a source is looked through, each of them once. */
export class Report {
	private readonly found = new Map<string, Remark>();
	private readonly noticed = new Map<string, Remark>();

	fault(file: string, what: string, remedy: string): void {
		this.found.set(`${file}\0${what}`, { file, what, remedy });
	}

	warn(file: string, what: string, remedy: string): void {
		this.noticed.set(`${file}\0${what}`, { file, what, remedy });
	}

	get faults(): readonly Remark[] {
		return [...this.found.values()];
	}

	get warnings(): readonly Remark[] {
		return [...this.noticed.values()];
	}
}

/** One line a remark: `film.mp4: it is cut short. Copy it again.` */
export function formatRemarks(remarks: readonly Remark[]): string {
	return remarks
		.map(({ file, what, remedy }) => `${file}: ${what}. ${remedy}`)
		.join("\n");
}
