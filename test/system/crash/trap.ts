// Preloaded into an agent: ends it as kill -9 does, at one file-system call of its own. LARDER_TRAP says at which: see Trap.
import { writeSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { kill, pid } from "node:process";

/** Calls that change what lies on the disk. */
export const CALLS = ["open", "write", "sync", "rename", "unlink"] as const;
export type Call = (typeof CALLS)[number];

/** Which call is the last one. `half` is for writes: some of the bytes are there, as when a write is interrupted. */
export interface Trap {
	readonly call: Call;
	/** 1 is the first. */
	readonly nth: number;
	readonly when: "before" | "half" | "after";
	/** What the path has to hold: others are not counted. */
	readonly under: string;
}

type Work = (...args: never[]) => Promise<unknown>;

/** Which of the calls are counted, and what is done at the one that counts. */
async function spring({ call, nth, when, under }: Trap): Promise<void> {
	let count = 0;
	const end = () => kill(pid, "SIGKILL");
	const paths = new WeakMap<object, string>();
	/** Runs a call, or what is left of it. */
	const pass = async <T>(
		name: Call,
		path: unknown,
		work: () => Promise<T>,
		half: () => void = () => undefined,
	): Promise<T> => {
		const isCounted = name === call && `${path}`.includes(under);
		if (!isCounted || ++count !== nth) return await work();
		if (when === "half") half();
		if (when !== "after") end();
		try {
			return await work();
		} finally {
			// What is removed may have been moved away before.
			end();
		}
	};
	const { open, rename, unlink } = promises;
	const isWriting = (flags: unknown) => flags !== undefined && flags !== "r";
	Object.assign(promises, {
		open: async (...args: Parameters<typeof open>) => {
			const [path, flags] = args;
			const opens = () => open(...args);
			const handle = await (isWriting(flags) && typeof flags === "string"
				? pass("open", path, opens)
				: opens());
			paths.set(handle, `${path}`);
			return handle;
		},
		rename: (...args: Parameters<typeof rename>) =>
			pass("rename", args.join(" "), () => rename(...args)),
		unlink: (...args: Parameters<typeof unlink>) =>
			pass("unlink", args[0], () => unlink(...args)),
	});
	syncBuiltinESMExports();
	await trapHandles(open, (handle) => paths.get(handle), pass);
}

type Pass = <T>(
	name: Call,
	path: unknown,
	work: () => Promise<T>,
	half?: () => void,
) => Promise<T>;

/** All handles have one prototype, which is nowhere exported. */
async function trapHandles(
	open: typeof promises.open,
	pathOf: (handle: object) => string | undefined,
	pass: Pass,
): Promise<void> {
	const some = await open("/dev/null", "r");
	const prototype = Object.getPrototypeOf(some);
	await some.close();
	const wrap = (method: string, name: Call) => {
		const whole: Work = prototype[method];
		prototype[method] = function (this: { fd: number }, ...args: never[]) {
			const [bytes, , , position] = args as unknown[];
			const half = () => {
				if (!(bytes instanceof Uint8Array)) return;
				const at = typeof position === "number" ? position : null;
				writeSync(this.fd, bytes, 0, bytes.length >> 1, at);
			};
			const work = () => whole.apply(this, args);
			return pass(name, pathOf(this), work, half);
		};
	};
	wrap("write", "write");
	wrap("writeFile", "write");
	wrap("sync", "sync");
	wrap("datasync", "sync");
}

const told = process.env["LARDER_TRAP"];
if (told !== undefined) await spring(JSON.parse(told));
