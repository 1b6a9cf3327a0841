import { readFileSync } from "node:fs";

/** What a machine can have too little of. */
const KINDS = ["cpu", "io", "memory"] as const;

/**
 * The part of the last ten seconds, in percent, in which some work waited for the processor, the disk or memory: the largest of the
 * three. Source: the kernel's Documentation/accounting/psi.rst. 0 where the kernel does not say.
 */
export function pressure(
	read = (kind: string) => readFileSync(`/proc/pressure/${kind}`, "utf8"),
): number {
	return Math.max(...KINDS.map((kind) => some(kind, read)));
}

function some(kind: string, read: (kind: string) => string): number {
	try {
		return Number(/^some avg10=([\d.]+)/m.exec(read(kind))?.[1] ?? 0);
	} catch {
		// Kernels before 4.20, without CONFIG_PSI, or started with psi=0.
		return 0;
	}
}
