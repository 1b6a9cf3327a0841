const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/i;

/**
 * Whether a Host header names this machine: a loopback name, or the address the gateway was told to bind.
 * A page of a foreign site whose name was made to resolve to 127.0.0.1 still sends that foreign name.
 */
export function isOwnHost(header: string, bound: string): boolean {
	const name = header.replace(/:\d*$/, "");
	return LOOPBACK.test(name) || name === bound || name === `[${bound}]`;
}
