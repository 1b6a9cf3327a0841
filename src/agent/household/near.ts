import { BlockList, isIPv4 } from "node:net";
import { networkInterfaces } from "node:os";

/** Whether an address is this machine's, or on a network that it is on: the way there shows nothing of an uplink. */
export function isNear(host: string): boolean {
	if (!isIPv4(host)) return false;
	const near = new BlockList();
	for (const { family, cidr } of Object.values(networkInterfaces())
		.flat()
		.flatMap((each) => each ?? [])) {
		const [address = "", bits] = cidr?.split("/") ?? [];
		if (family === "IPv4" && bits !== undefined)
			near.addSubnet(address, Number(bits), "ipv4");
	}
	return near.check(host, "ipv4");
}
