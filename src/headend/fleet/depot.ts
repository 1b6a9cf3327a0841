import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { PUBLIC, readIfThere, writeWhole } from "../operator/file.ts";
import type { Operator } from "../operator/operator.ts";
import type { NewlyTold } from "./papers.ts";
import type { Table } from "./wishes.ts";

/** The files of a plan that lie at the origin: holder tables, and placements too large for a message. */
export class Depot {
	private readonly origin: string;
	private readonly region: string;

	constructor({ dir, region }: Pick<Operator, "dir" | "region">) {
		this.origin = join(dir, "origin");
		this.region = region;
	}

	async putTable({ title, envelope }: Table): Promise<void> {
		await put(join(this.origin, title, "holders", this.region), envelope);
	}

	/** Puts the body there; does nothing for a placement that is told whole. */
	async putBody({ sha256, body }: NewlyTold): Promise<void> {
		if (body !== undefined)
			await put(join(this.origin, "placement", sha256), body);
	}

	/** Removes bodies that no box is told any more. */
	async clearBodies(used: ReadonlySet<string>): Promise<void> {
		const folder = join(this.origin, "placement");
		await mkdir(folder, { recursive: true });
		for (const name of await readdir(folder))
			if (!used.has(name)) await rm(join(folder, name), { force: true });
	}
}

async function put(path: string, bytes: Buffer): Promise<void> {
	if ((await readIfThere(path))?.equals(bytes)) return;
	await writeWhole(path, bytes, PUBLIC);
}
