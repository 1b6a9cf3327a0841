import { BlockList, isIP } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/** Whether this is a number, not a name, by which a machine reaches nobody but itself: 127.0.0.0/8 or ::1. */
export function isLoopback(address: string): boolean {
	const version = isIP(address);
	// A zone (`::1%eth0`) may name another link.
	if (version === 0 || address.includes("%")) return false;
	return loopback.check(address, version === 6 ? "ipv6" : "ipv4");
}

/**
 * Whether `host` or `host:port`, as a Host header, a request target or an origin has it, names this machine.
 * A page of a foreign site whose name was made to resolve to 127.0.0.1 still sends that foreign name. Any port will do:
 * a page cannot choose it, and a forwarded port is another than the one listened on.
 */
export function isOwnHost(authority: string): boolean {
	const match = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(authority);
	const [, v6, name = ""] = match ?? [];
	if (v6 !== undefined) return isIP(v6) === 6 && isLoopback(v6);
	return name.toLowerCase() === "localhost" || isLoopback(name);
}
