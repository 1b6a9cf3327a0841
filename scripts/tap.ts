/** What a run of tests came to. A test is a named block (or a bare assertion) of a test file. */
export interface Tally {
	passed: number;
	failed: number;
	skipped: number;
}

/** What is known of one test file. */
interface File {
	readonly tally: Tally;
	/** Names of what failed in it, the file's own first. */
	readonly failures: string[];
}

interface Block {
	readonly name: string;
	/** Failures shown inside it. */
	faults: number;
	tests: number;
}

const POINT = /^( *)(not )?ok \d+(?: - (.*?))?(?: # (\S+).*)?$/;
const SUBTEST = /^( *)# Subtest: (.*)$/;

/**
 * Reads the TAP of `tap test/*.test.ts` line by line: a line for every file, and for every failure where it is and why.
 * A file that fails without a failing test in it (it crashed, or ran out of time) counts as one failed test.
 * Of a file that is run again, the last run counts.
 */
export class TapReader {
	private readonly files = new Map<string, File>();
	private readonly say: (line: string) => void;
	/** Blocks begun and not ended, outermost first; its length is the depth. */
	private readonly open: Block[] = [];
	/** Set while the details of a point are read: their indent, and whether they are shown. */
	private details: { indent: number; shown: boolean } | undefined;
	private lastShown = false;

	constructor(say: (line: string) => void) {
		this.say = say;
	}

	get tally(): Tally {
		const sum = { passed: 0, failed: 0, skipped: 0 };
		for (const { tally } of this.files.values()) {
			sum.passed += tally.passed;
			sum.failed += tally.failed;
			sum.skipped += tally.skipped;
		}
		return sum;
	}

	/** Names of what failed, file first. */
	get failures(): string[] {
		return [...this.files.values()].flatMap(({ failures }) => failures);
	}

	/** Those of these files in which something failed. */
	failed(files: readonly string[]): string[] {
		return files.filter((file) => this.files.get(file)?.failures.length);
	}

	line(text: string): void {
		if (this.details !== undefined) {
			this.detail(text, this.details);
			return;
		}
		const begin = /^( *)---$/.exec(text);
		if (begin?.[1] !== undefined) {
			this.details = { indent: begin[1].length, shown: this.lastShown };
			return;
		}
		const subtest = SUBTEST.exec(text);
		if (subtest?.[2] !== undefined && depthOf(subtest) === this.open.length) {
			if (this.open.length === 0) this.files.set(subtest[2], unknown());
			this.open.push({ name: subtest[2], faults: 0, tests: 0 });
			return;
		}
		const point = POINT.exec(text);
		if (point !== null) this.point(point);
	}

	private detail(
		text: string,
		details: { indent: number; shown: boolean },
	): void {
		if (text.trimEnd() === `${" ".repeat(details.indent)}...`) {
			this.details = undefined;
		} else if (details.shown) {
			this.say(`    ${text.slice(details.indent)}`.trimEnd());
		}
	}

	private point(point: RegExpExecArray): void {
		const depth = depthOf(point);
		const bad = point[2] !== undefined;
		const skipped = /^(skip|todo)$/i.test(point[4] ?? "");
		// A crash leaves blocks open; the point of an outer one ends them all.
		const [block] = this.open.splice(depth);
		const name = block?.name ?? point[3] ?? "unnamed";
		// Besides the file that ran out of time tap names the fact ("timeout!"): one failure, not two.
		const isFile = depth > 0 || name.endsWith(".ts");
		if (!isFile && this.failures.length > 0) return;
		const file = this.of(this.open[0]?.name ?? name);
		const where = [...this.open.map((outer) => outer.name), name].join(" > ");
		const fault = bad && !skipped && (block?.faults ?? 0) === 0;
		this.lastShown = fault;
		if (fault) {
			file.failures.push(where);
			if (depth > 0) this.say(`  FAILED ${where}`);
			for (const outer of this.open) outer.faults++;
		}
		if (depth === 1) this.count(file.tally, bad, skipped);
		if (depth > 0) return;
		if (fault) file.tally.failed++;
		if (skipped) file.tally.skipped++;
		const took = /^time=(\d+)/.exec(point[4] ?? "")?.[1];
		const seconds = took === undefined ? "" : `, ${Number(took) / 1000} s`;
		const tests = block?.tests ?? 0;
		this.say(`  ${bad ? "not ok" : "ok"} ${name} (${tests}${seconds})`);
	}

	private count(tally: Tally, bad: boolean, skipped: boolean): void {
		if (skipped) tally.skipped++;
		else if (bad) tally.failed++;
		else tally.passed++;
		for (const file of this.open) file.tests++;
	}

	private of(name: string): File {
		const file = this.files.get(name) ?? unknown();
		this.files.set(name, file);
		return file;
	}
}

function unknown(): File {
	return { tally: { passed: 0, failed: 0, skipped: 0 }, failures: [] };
}

/** TAP indents by four spaces a level. */
function depthOf(match: RegExpExecArray): number {
	return (match[1]?.length ?? 0) / 4;
}
