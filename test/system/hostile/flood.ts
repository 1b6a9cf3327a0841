// Wrong bytes for the doors of a box, by the thousand.
import { connect, type NetConnectOpts } from "node:net";
import { SECOND } from "../../../src/base/time.ts";
import { PATIENCE } from "../desk.ts";

/**
 * Brings one message to a door and hangs up; gives all that the door says until it closes.
 * @param waits whether to hang up only when the first of an answer is there
 */
export function bring(
	door: NetConnectOpts,
	message: Uint8Array,
	waits = false,
): Promise<Buffer> {
	return new Promise((resolve, reject) => {
		const parts: Buffer[] = [];
		const socket = connect(door);
		let refused = false;
		// A door that hangs up first is in its right; one that is gone is not.
		socket.on("error", (error: NodeJS.ErrnoException) => {
			refused = error.syscall === "connect";
		});
		socket.setTimeout(PATIENCE, () => {
			reject(new Error(`left open: ${JSON.stringify(`${message}`)}`));
			socket.destroy();
		});
		socket.on("data", (part: Buffer) => parts.push(part));
		socket.once("close", () => {
			if (refused) reject(new Error("nobody is at the door"));
			else resolve(Buffer.concat(parts));
		});
		if (waits) socket.once("data", () => socket.end());
		socket.write(message);
		if (!waits) socket.end();
	});
}

/** Does `count` things, a few side by side. Rejects with the first that fails, named by its number. */
export async function flood(
	count: number,
	lanes: number,
	one: (index: number) => Promise<void>,
): Promise<void> {
	let next = 0;
	const lane = async () => {
		while (next < count) {
			const index = next++;
			try {
				await one(index);
			} catch (cause) {
				next = count;
				throw new Error(`message ${index}`, { cause });
			}
		}
	};
	await Promise.all(Array.from({ length: lanes }, lane));
}

/** Bytes that a process holds, as it says itself. */
export interface Memory {
	readonly resident: number;
	readonly heap: number;
	readonly outside: number;
}

export function memoryIn(metrics: string): Memory {
	const figure = (name: string) => {
		const found = new RegExp(`^${name} (\\S+)$`, "m").exec(metrics)?.[1];
		if (found === undefined) throw new Error(`${name} is not there`);
		return Number(found);
	};
	return {
		resident: figure("process_resident_memory_bytes"),
		heap: figure("nodejs_heap_size_used_bytes"),
		outside: figure("nodejs_external_memory_bytes"),
	};
}

/** Looks on while `work` runs, again and again, at least once; rejects when a look fails. */
export async function beside(
	work: Promise<unknown>,
	look: () => Promise<void>,
): Promise<number> {
	let over = false;
	const end = work.finally(() => {
		over = true;
	});
	end.catch(() => undefined);
	let looks = 0;
	do {
		await look();
		looks++;
	} while (!over);
	await end;
	return looks;
}

/** How long something took, for the log: no test looks at it. */
export function seconds(since: number): string {
	return `${((performance.now() - since) / SECOND).toFixed(1)} s`;
}
