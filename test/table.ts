import { readFileSync } from "node:fs";

/** Rows of the Markdown table whose first column has this heading, cell by cell. */
export function table(file: string, heading: string): string[][] {
	const lines = readFileSync(file, "utf8").split("\n");
	const start = lines.findIndex((line) => line.startsWith(`| ${heading} |`));
	if (start < 0) throw new Error(`${file} has no table headed ${heading}`);
	const rest = lines.slice(start + 2);
	const end = rest.findIndex((line) => !line.startsWith("|"));
	return rest.slice(0, end < 0 ? undefined : end).map((line) =>
		line
			.split("|")
			.slice(1, -1)
			.map((cell) => cell.trim()),
	);
}
