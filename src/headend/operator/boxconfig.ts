import { MAX_DIALLED } from "../../swarm/dialler.ts";
import type { OperatorConfig } from "./config.ts";

/** What a box's larder.toml sets. What is left out stands there as a comment, with its default. */
export interface BoxSettings {
	/** Where shards go; relative to the box's folder. */
	readonly data?: string;
	readonly identity?: string;
	readonly enrol?: string;
	readonly logLevel?: string;
	readonly swarmHost?: string;
	readonly swarmInterface?: string;
	readonly swarmPort?: number;
	readonly reach?: "direct" | "nat";
	readonly maxPeers?: number;
	readonly tcp?: boolean;
	readonly tcpPort?: number;
	/** As in the file: `20 GiB`. */
	readonly quota?: string;
	/** As in the file: `5%`. */
	readonly reserve?: string;
	/** Part of the quota, 0 to 1. */
	readonly streamingShare?: number;
	/** As in the file: `2 MiB/s`; `0` is no limit. */
	readonly up?: string;
	/** As in the file, or `none`. */
	readonly upActive?: string;
	readonly down?: string;
	readonly originRate?: string;
	/** Percent; 0 is never. */
	readonly pressure?: number;
	/** As in the file: `10 s`. */
	readonly takeover?: string;
	/** As in the file: `4 GiB`; `auto`. */
	readonly writeBudget?: string;
	readonly zone?: string;
	/** As in the file. */
	readonly windows?: string;
	readonly gatewayHost?: string;
	readonly gatewayPort?: number;
	/** Whether players need a token. */
	readonly playerToken?: boolean;
	/** Origins of pages that may play, besides the box's own. */
	readonly playerOrigins?: readonly string[];
	readonly socket?: string;
	readonly socketGroup?: string;
}

/** Where things lie on a box that has the Debian package: systemd/larder-agent.service. */
export const INSTALLED: BoxSettings = {
	data: "/var/lib/larder/data",
	identity: "/var/lib/larder/identity.json",
	enrol: "/run/credentials/larder-agent.service/enrol.json",
};

type Value = string | number | boolean | readonly string[];

/** A larder.toml with every key that a box knows and what it means. */
export function boxConfig(
	{
		swarm,
		broker,
		origin,
	}: {
		readonly swarm: Pick<OperatorConfig["swarm"], "bootstrap">;
		readonly broker: Pick<OperatorConfig["broker"], "url">;
		readonly origin: Pick<OperatorConfig["origin"], "url">;
	},
	settings: BoxSettings,
): string {
	return `# Larder on this box. Paths are relative to this file; keys with a # before them show their default.
data = ${JSON.stringify(settings.data ?? "data")}
${key("log_level", settings.logLevel, "info")}
${key("identity", settings.identity, "identity.json")}
# What the factory wrote: how a box without an identity gets one.
${key("enrol", settings.enrol, "enrol.json")}

[swarm]
# The operator's DHT nodes.
bootstrap = [${swarm.bootstrap.map((node) => JSON.stringify(node)).join(", ")}]
${key("host", settings.swarmHost, "0.0.0.0")}
# The network interface for UDP and TCP: its IPv4 address is bound instead of host, and anew when it changes.
${settings.swarmInterface === undefined ? '# interface = "eth0"' : key("interface", settings.swarmInterface, "")}
# UDP; 0 takes any.
${key("port", settings.swarmPort, 49_740)}
# "direct" on a routed network, "nat" behind a home gateway.
${key("reach", settings.reach, "nat")}
# Neighbours to find by the region's topic. Up to ${MAX_DIALLED} connections more are kept for boxes that dial each other because a
# holder table names them.
${key("max_peers", settings.maxPeers, 64)}
# Bulk over TCP where it opens: twice the speed at half the CPU. Port 0 takes any.
${key("tcp", settings.tcp, true)}
${key("tcp_port", settings.tcpPort, 0)}

[broker]
url = ${JSON.stringify(broker.url)}
# Who vouches for an mqtts:// broker (PEM), if it is not the operator; and a login, for a broker that wants one of boxes.
# ca = "broker-ca.pem"
# username = "box"
# password_file = "broker-password"

[origin]
url = ${JSON.stringify(origin.url)}

[store]
# How much of the disk Larder may use ("20 GiB", or a share of the disk), and how much it leaves free for others, as for recordings:
# when they need more, it gives back of its own within 2 s. Then the part of the quota (0 to 1) kept for what is watched without
# being placed.
${key("quota", settings.quota, "50%")}
${key("reserve", settings.reserve, "5%")}
${key("streaming_share", settings.streamingShare, 0.1)}

[rates]
# As "2 MiB/s" or "5 Mbit/s"; "0" is no limit. up serves neighbours, origin fills from the datacenter. Without a limit, too, the box
# finds out how much the uplink carries, and leaves it alone while the household fills it.
${key("up", settings.up, "0")}
# While the household watches live TV or records, as the receiver's user interface tells; "none" gives nothing then.
${key("up_active", settings.upActive, "none")}
${key("down", settings.down, "0")}
${key("origin", settings.originRate, "0")}

[household]
# Filling waits when work waits for processor, disk or memory in this part of the time, in percent, as the kernel says
# (/proc/pressure); 0 is never.
${key("pressure", settings.pressure, 80)}

[fill]
# How long each rank waits for those before it until it fetches from the origin what they have not.
${key("takeover", settings.takeover, "10 s")}
# How much filling may write to the disk in a day ("4 GiB"), so that flash lasts; "0" is no limit. "auto" is a quarter of an eMMC or SD card,
# and no limit on other disks. What is watched is kept all the same.
${key("write_budget", settings.writeBudget, "auto")}
# When to fill: windows of the week by the clock of a zone, each like
# { days = "mon-fri", hours = "1-6", trunk = "20 Mbit/s", neighbours = "50 Mbit/s", up = "5 Mbit/s", standby = true }.
# trunk and neighbours are what fill may bring from where ("none": nothing), up is what neighbours may be given in all. Of two windows that
# cover an hour the later one holds; the operator's come before all of these. Without any, a box fills whenever it is not in standby.
${key("zone", settings.zone, "UTC")}
${settings.windows === undefined ? "# windows = []" : `windows = ${settings.windows}`}

[gateway]
# Where players find titles; loopback only.
${key("host", settings.gatewayHost, "127.0.0.1")}
${key("port", settings.gatewayPort, 8090)}
# With it, players need what \`larder player-token\` prints, new at each boot, and there are no player page and no /metrics.
${key("token", settings.playerToken, true)}
# Pages of other origins that may play ("https://tv.example"; "null" for pages from files). The box's own always may.
${key("origins", settings.playerOrigins, [])}

[ipc]
# Where the box's user interface and the larder command reach the agent, and the group of those who may.
${key("socket", settings.socket, "/run/larder/agent.sock")}
${settings.socketGroup === undefined ? '# group = "larder"' : key("group", settings.socketGroup, "")}
`;
}

/** JSON's escapes are a subset of TOML's. */
function key(name: string, value: Value | undefined, otherwise: Value): string {
	return value === undefined
		? `# ${name} = ${JSON.stringify(otherwise)}`
		: `${name} = ${JSON.stringify(value)}`;
}
