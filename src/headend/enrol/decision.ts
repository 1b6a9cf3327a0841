/** What is known when a box asks to be let in, or to be let stay. */
export type Case =
	| { readonly key: "known" }
	| { readonly key: "revoked" }
	| NewKey;

/** Of a box whose key is not on record. */
export interface NewKey {
	readonly key: "new";
	/** Which claim it has shown to know: its serial's own, one that its batch shares, or none that counts. */
	readonly claim: Claim | "none";
	/** Another box that is not revoked has this serial. */
	readonly live: boolean;
	/** Another key waits under this serial, or has asked for it while this one waited. */
	readonly contested: boolean;
	/** A person has turned this key away. */
	readonly rejected: boolean;
	/** Boxes of the inventory are let in without a person. */
	readonly auto: boolean;
	/** The inventory holds the serial. */
	readonly listed: boolean;
}

export type Claim = "own" | "shared";

/** Why a person has to decide; names that stay. */
export type Wait =
	| "serial-live"
	| "contested"
	| "shared-claim"
	| "manual"
	| "not-in-inventory";

export type Decision =
	| { readonly is: "issue" }
	| { readonly is: "wait"; readonly why: Wait }
	| {
			readonly is: "refuse";
			readonly slug: "revoked" | "bad-claim" | "rejected";
	  };

/**
 * Who gets papers. A key that is on record needs no claim: that it signs is proof enough, and how a box whose lease has ended comes
 * back. A new key needs a claim, and a person unless nothing speaks against it.
 */
export function decide(it: Case): Decision {
	if (it.key === "revoked") return { is: "refuse", slug: "revoked" };
	if (it.key === "known") return { is: "issue" };
	if (it.claim === "none") return { is: "refuse", slug: "bad-claim" };
	if (it.rejected) return { is: "refuse", slug: "rejected" };
	if (it.live) return { is: "wait", why: "serial-live" };
	if (it.contested) return { is: "wait", why: "contested" };
	if (it.claim === "shared") return { is: "wait", why: "shared-claim" };
	if (!it.auto) return { is: "wait", why: "manual" };
	if (!it.listed) return { is: "wait", why: "not-in-inventory" };
	return { is: "issue" };
}
