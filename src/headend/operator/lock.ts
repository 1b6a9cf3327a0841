import { type Lock, lockFolder } from "../../store/lock.ts";

export type { Lock };

/** Takes the operator's folder for this process. Throws OPERATOR_BUSY. */
export function lockOperator(dir: string): Promise<Lock> {
	return lockFolder(dir, "OPERATOR_BUSY");
}
