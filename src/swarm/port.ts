import { LarderError, systemCode } from "../base/errors.ts";

/** Why an address could not be listened on, in Larder's words. */
export function portError(
	protocol: "UDP" | "TCP",
	host: string,
	port: number,
	cause: unknown,
): LarderError {
	const foreign = systemCode(cause) === "EADDRNOTAVAIL";
	return new LarderError(
		foreign ? "CONFIG_INVALID" : "PORT_TAKEN",
		foreign
			? `swarm.host: ${host} is no address of this machine`
			: `${protocol} ${host}:${port} cannot be opened`,
		{ cause },
	);
}
