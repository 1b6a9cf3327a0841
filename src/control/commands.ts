import { bad, good, type Result } from "../base/result.ts";
import { type Command, command } from "../wire/command.ts";
import { envelope } from "../wire/envelope.ts";
import { parseMessage } from "../wire/json.ts";
import { type Identity, verify } from "./verify.ts";

/** How many command ids are remembered. */
const REMEMBERED = 1024;

/** Lets each command through once, and only before it expires. */
export class Commands {
	private readonly identity: Identity;
	/** In the order in which they came. */
	private readonly seen = new Set<string>();

	constructor(identity: Identity) {
		this.identity = identity;
	}

	/** The command, or undefined when it was taken before. */
	take(bytes: Buffer): Result<Command | undefined> {
		const outer = parseMessage(envelope, bytes);
		if (!outer.ok) return outer;
		const read = verify(outer.value, "placement", command, this.identity);
		if (!read.ok) return read;
		const { id, expires } = read.value;
		if (this.seen.has(id)) return good(undefined);
		if (expires <= this.identity.trust.now())
			return bad("expired", `command ${id}`);
		this.seen.add(id);
		for (const oldest of this.seen) {
			if (this.seen.size <= REMEMBERED) break;
			this.seen.delete(oldest);
		}
		return read;
	}
}
