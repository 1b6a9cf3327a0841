import type { Bytes, Millis } from "../../../src/base/units.ts";
import type { Caps } from "../network/network.ts";

/**
 * The least time in which a source can bring `size` bytes to each of `boxes` boxes that give on what they have, were data a fluid and headers
 * free: max(F/us, F/d, N F/(us + N u)). R. Kumar, K. W. Ross, "Peer-Assisted File Distribution: The Minimum Distribution Time", IEEE HotWeb 2006.
 */
export function floorOf(size: Bytes, boxes: number, caps: Caps): Millis {
	const bits = size * 8;
	const all = caps.source + boxes * caps.up;
	const least = Math.max(
		bits / caps.source,
		bits / caps.down,
		(boxes * bits) / all,
	);
	return least * 1000;
}
