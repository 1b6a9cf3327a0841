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
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (cause) {
		throw new LarderError("CONFIG_INVALID", `${path} cannot be read`, {
			cause,
		});
	}
	const serials = new Set<string>();
	const faults: string[] = [];
	const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
	for (const [index, line] of lines.entries()) {
		const serial = firstColumn(line);
		if (serial === "") continue;
		if (index === 0 && HEADING.test(serial)) continue;
		if (isSerial(serial)) serials.add(serial);
		else faults.push(`line ${index + 1}: ${JSON.stringify(serial)}`);
	}
	if (faults.length > 0) {
		const more =
			faults.length > MOST ? ` and ${faults.length - MOST} more` : "";
		throw new LarderError(
			"CONFIG_INVALID",
			`${path} holds what is no serial number of up to 64 letters, digits and . _ : + -; ${faults.slice(0, MOST).join("; ")}${more}`,
		);
	}
	if (serials.size === 0)
		throw new LarderError("CONFIG_INVALID", `${path} holds no serial numbers`);
	return [...serials];
}

function firstColumn(line: string): string {
	const [, quoted, plain = ""] =
		/^\s*(?:"([^"]*)"|([^,;\t]*))/.exec(line) ?? [];
	return (quoted ?? plain).trim();
}
