import { bad, good, type Result } from "../base/result.ts";
import type { Bytes } from "../base/units.ts";
import { isInside } from "./path.ts";

/** A tar is made of these. */
export const TAR_BLOCK: Bytes = 512;

/** A file in a tar. */
export interface TarEntry {
	/** With `/`, and never out of the folder that it is unpacked into. */
	readonly path: string;
	readonly size: Bytes;
}

const NAME: Bytes = 100;
const MAGIC = "ustar\x0000";
const FIELDS = { mode: 100, size: 124, checksum: 148, type: 156, magic: 257 };

/** The block before a file's content (POSIX.1-1988, ustar). Throws a RangeError for a path of more than 100 bytes. */
export function tarHeader({ path, size }: TarEntry): Buffer {
	const header = Buffer.alloc(TAR_BLOCK);
	if (Buffer.byteLength(path) > NAME) throw new RangeError(`${path}: too long`);
	header.write(path);
	header.write("0000644\0", FIELDS.mode);
	header.write(`${size.toString(8).padStart(11, "0")}\0`, FIELDS.size);
	header.write("0", FIELDS.type);
	header.write(MAGIC, FIELDS.magic);
	const sum = checksumOf(header).toString(8).padStart(6, "0");
	header.write(`${sum}\0 `, FIELDS.checksum);
	return header;
}

/** What fills a file's last block. */
export function tarPadding(size: Bytes): Bytes {
	return (TAR_BLOCK - (size % TAR_BLOCK)) % TAR_BLOCK;
}

/** What ends a tar. */
export const TAR_END: Bytes = 2 * TAR_BLOCK;

/**
 * Reads the block before a file, and undefined from the one that ends the tar. Knows nothing but files: no links, no
 * devices, no folders, which follow from the paths.
 */
export function readTarHeader(
	header: Buffer,
): Result<TarEntry | undefined, "bad-tar"> {
	if (header.length !== TAR_BLOCK) return bad("bad-tar", "it is cut short");
	if (header.every((byte) => byte === 0)) return good(undefined);
	const field = (at: number, length: number) =>
		header
			.subarray(at, at + length)
			.toString("latin1")
			.replace(/[\0 ].*$/s, "");
	if (Number.parseInt(field(FIELDS.checksum, 8), 8) !== checksumOf(header))
		return bad("bad-tar", "its checksum is wrong");
	const magic = header.toString("latin1", FIELDS.magic, FIELDS.magic + 8);
	if (magic !== MAGIC || field(FIELDS.type, 1) !== "0")
		return bad("bad-tar", "there is more than files in it");
	const octal = field(FIELDS.size, 12);
	if (!/^[0-7]{1,11}$/.test(octal)) return bad("bad-tar", "a size is none");
	const [path = ""] = header.toString("utf8", 0, NAME).split("\0", 1);
	if (!isInside(path)) return bad("bad-tar", "a path leads out of it");
	return good({ path, size: Number.parseInt(octal, 8) });
}

/** The sum of all bytes, with blanks in the place of the sum. */
function checksumOf(header: Buffer): number {
	let sum = 8 * 0x20;
	for (const [index, byte] of header.entries())
		if (index < FIELDS.checksum || index >= FIELDS.type) sum += byte;
	return sum;
}
