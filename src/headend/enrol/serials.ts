import { readFile } from "node:fs/promises";
import { LarderError } from "../../base/errors.ts";

/** What may enrol by this name: it becomes that of a folder, and is shown on terminals. */
const SERIAL = /^[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}$/;
const HEADING = /^serial([ _]?(no|nr|number))?\.?$/i;
/** Faults that are listed at most. */
const MOST = 5;

export function isSerial(text: string): boolean {
	return SERIAL.test(text);
}

/**
 * Reads a list of serial numbers: one a line, or the first column of a CSV file, which may begin with a line "serial".
 * Each comes once. Throws CONFIG_INVALID naming the lines that hold none.
 */
export async function readSerials(path: string): Promise<string[]> {
	const rows = await readRows(path, 1, ([serial = ""]) =>
		isSerial(serial)
			? undefined
			: "no serial number of up to 64 letters, digits and . _ : + -",
	);
	return [...new Set(rows.map(([serial = ""]) => serial))];
}

/**
 * Reads a list of receivers: one a line, the serial number first, or a CSV file, which may begin with a line "serial". Lines
 * without a serial number are passed over. Throws CONFIG_INVALID naming the lines that are wrong, or when there are none.
 * @param most columns that count
 * @param faultIn what a line is that is wrong
 */
export async function readRows(
	path: string,
	most: number,
	faultIn: (row: readonly string[]) => string | undefined,
): Promise<string[][]> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (cause) {
		throw new LarderError("CONFIG_INVALID", `${path} cannot be read`, {
			cause,
		});
	}
	const rows: string[][] = [];
	const faults: string[] = [];
	const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
	for (const [index, line] of lines.entries()) {
		const row = columnsOf(line).slice(0, most);
		const [serial = ""] = row;
		if (serial === "" || (index === 0 && HEADING.test(serial))) continue;
		const fault = faultIn(row);
		if (fault === undefined) rows.push(row);
		else
			faults.push(
				`line ${index + 1}: ${JSON.stringify(row.join())} is ${fault}`,
			);
	}
	if (faults.length > 0) {
		const more =
			faults.length > MOST ? ` and ${faults.length - MOST} more` : "";
		throw new LarderError(
			"CONFIG_INVALID",
			`${path}: ${faults.slice(0, MOST).join("; ")}${more}`,
		);
	}
	if (rows.length === 0)
		throw new LarderError("CONFIG_INVALID", `${path} holds no serial numbers`);
	return rows;
}

/** Without those at the end that are empty. */
function columnsOf(line: string): string[] {
	const columns: string[] = [];
	for (const [, quoted, plain = ""] of line.matchAll(
		/(?:^|[,;\t])\s*(?:"([^"]*)"|([^,;\t]*))/g,
	))
		columns.push((quoted ?? plain).trim());
	while (columns.at(-1) === "") columns.pop();
	return columns;
}
