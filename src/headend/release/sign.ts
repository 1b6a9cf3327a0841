import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { basename, join, relative } from "node:path";
import { LarderError, systemCode } from "../../base/errors.ts";
import { isInside } from "../../content/path.ts";
import { TAR_END, tarHeader, tarPadding } from "../../content/tar.ts";
import { seal, unseal } from "../../wire/envelope.ts";
import { parseValue } from "../../wire/json.ts";
import { IMAGE, type Release, release, TARGETS } from "../../wire/release.ts";
import { PUBLIC, writeWhole } from "../operator/file.ts";
import { readKey } from "../operator/keyfile.ts";
import type { Operator } from "../operator/operator.ts";
import { releaseFile } from "./file.ts";

/** What a squashfs begins with. */
const SQUASHFS = "hsqs";

export interface SignOptions {
	/** What build.mjs made, `dist/agent/linux-arm64`; or the root of an image, `larder-0.2.0-arm64.squashfs`. */
	readonly bundle: string;
	/** The file with the key for `release`. */
	readonly key: string;
	/** The lowest version that may become this one; any unless given. */
	readonly minimum?: string;
	/** The folder that the release is written into. */
	readonly out: string;
}

/**
 * Signs a bundle or the root of an image: writes `larder-<version>-<target>.release`. The same bundle gives the same tar.
 * Throws RELEASE_INVALID when it is neither, OPERATOR_INVALID when the key is not there or not this operator's.
 */
export async function signRelease(
	{ network, trust }: Pick<Operator, "network" | "trust">,
	{ bundle, key, minimum = "0.0.0", out }: SignOptions,
): Promise<{ readonly path: string; readonly said: Release }> {
	const signer = await readKey(key, "release");
	const { content, ...what } = await (imageVersion(bundle) === undefined
		? readBundle(bundle)
		: readImage(bundle));
	const wanted = parseValue(release, {
		...{ network, minimum, ...what },
		size: content.length,
		sha256: createHash("sha256").update(content).digest("hex"),
	});
	if (!wanted.ok) throw invalid(bundle, wanted.detail);
	const said = wanted.value;
	const statement = seal(signer, said);
	// As a box will read it: a key of another network, or one that counts no more, is found out here.
	const read = unseal(statement, "release", release, trust);
	if (!read.ok)
		throw new LarderError("OPERATOR_INVALID", `${key}: ${read.detail}`);
	const path = join(out, `larder-${said.version}-${said.target}.release`);
	await writeWhole(path, releaseFile(statement, content), PUBLIC);
	return { path, said };
}

/** Undefined for what is not called like the root of an image. */
function imageVersion(path: string): string | undefined {
	return /^larder-([\d.]+)-arm64\.squashfs$/.exec(basename(path))?.[1];
}

async function readImage(path: string) {
	const content = await readFile(path).catch((cause: unknown) => {
		throw systemCode(cause) === "ENOENT"
			? invalid(path, "there is no such file")
			: cause;
	});
	if (content.toString("latin1", 0, SQUASHFS.length) !== SQUASHFS)
		throw invalid(path, "it is no squashfs");
	return { content, version: imageVersion(path), target: IMAGE };
}

async function readBundle(bundle: string) {
	const files = await filesOf(bundle);
	const content = await pack(bundle, files);
	return {
		content,
		version: await versionOf(bundle),
		target: targetOf(files),
	};
}

async function versionOf(bundle: string): Promise<string> {
	return (await readFile(join(bundle, "version"), "utf8")).trim();
}

/** Addons are there for one platform. */
function targetOf(files: readonly string[]): string | undefined {
	return TARGETS.find((target) =>
		files.some((path) => path.startsWith(`prebuilds/${target}/`)),
	);
}

async function pack(bundle: string, files: readonly string[]): Promise<Buffer> {
	const parts: Buffer[] = [];
	for (const path of files) {
		const content = await readFile(join(bundle, path));
		parts.push(tarHeader({ path, size: content.length }), content);
		parts.push(Buffer.alloc(tarPadding(content.length)));
	}
	return Buffer.concat([...parts, Buffer.alloc(TAR_END)]);
}

/** In path order. Throws RELEASE_INVALID. */
async function filesOf(bundle: string): Promise<string[]> {
	let entries: Awaited<ReturnType<typeof list>>;
	try {
		entries = await list(bundle);
	} catch (cause) {
		if (systemCode(cause) !== "ENOENT") throw cause;
		throw invalid(bundle, "there is no such folder");
	}
	const files: string[] = [];
	for (const entry of entries) {
		if (entry.isDirectory()) continue;
		const path = relative(bundle, join(entry.parentPath, entry.name));
		if (!entry.isFile() || !isInside(path))
			throw invalid(bundle, `${path} is not a plain file`);
		files.push(path);
	}
	for (const needed of ["larder.mjs", "version"])
		if (!files.includes(needed))
			throw invalid(bundle, `there is no ${needed} in it`);
	return files.toSorted((a, b) => (a < b ? -1 : 1));
}

function list(bundle: string) {
	return readdir(bundle, { recursive: true, withFileTypes: true });
}

function invalid(bundle: string, why: string): LarderError {
	return new LarderError("RELEASE_INVALID", `${bundle}: ${why}`);
}
