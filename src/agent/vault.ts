import type { KeyPair } from "../wire/keys.ts";
import { openSealed } from "../wire/sealed.ts";

/** Opens what was sealed to this box. Nothing else of the agent needs to know where the box's key lies. */
export interface Vault {
	/** Undefined when it was sealed to another key or changed on its way. */
	open(sealed: Uint8Array): Buffer | undefined;
}

/** The key is in the identity file, and in memory as long as the agent runs. */
export function fileVault(pair: KeyPair): Vault {
	return { open: (sealed) => openSealed(pair, sealed) };
}
