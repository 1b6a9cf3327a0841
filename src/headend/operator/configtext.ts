import type { OperatorSettings } from "./config.ts";

/** Where `larder bootstrap` listens, and where the headend's own node does. */
const BOOTSTRAP_PORT = 49_737;
const SWARM_PORT = 49_738;

/** A fresh operator.toml, every key with what it means. */
export function configText(settings: OperatorSettings): string {
	const host = settings.host ?? "127.0.0.1";
	const originPort = settings.originPort ?? 8480;
	const bootstrap = settings.bootstrap ?? [`${host}:${BOOTSTRAP_PORT}`];
	return `# Larder: this operator's headend. Restart the headend after a change.

# Boxes of one region serve one another.
region = ${quoted(settings.region)}

# How many different boxes are to hold each shard.
copies = ${settings.copies ?? 3}

# trace, debug, info, warn, error or fatal.
log_level = "info"

[swarm]
# The operator's own DHT nodes, as boxes reach them: larder bootstrap runs one. The public network is never used.
bootstrap = [${bootstrap.map(quoted).join(", ")}]
# Where the headend itself joins the boxes (UDP); another port than a bootstrap node's on the same machine.
host = ${quoted(host)}
port = ${settings.swarmPort ?? SWARM_PORT}

[broker]
# The MQTT broker, as boxes and headend reach it: mqtt:// or mqtts://
url = ${quoted(settings.brokerUrl ?? `mqtt://${host}:1883`)}
# An mqtts:// broker is held to the operator's own authority, keys/ca.pem, and headend and boxes show it certificates: larder
# broker config writes what Mosquitto needs for that. ca names another authority (PEM) that vouches for the broker, for the headend.
# ca = "keys/broker-ca.pem"
# Set it there: what makes every broker, the one where boxes enrol too, read its revocation list and certificate again, a SIGHUP.
# Without it a box that is revoked is put off the broker and back at once.
# reload = ["systemctl", "reload", "mosquitto", "mosquitto-enrol"]
# Or how the headend logs in by name, to a broker that asks for that; boxes are never told. Then an mqtts:// broker is held to ca, or
# to what the system trusts. The password stands alone in its file. Paths start at this file's folder; what lies in keys/ is
# only the operator's and goes into backups.
# username = "headend"
# password_file = "keys/broker-password"

[origin]
# The built-in static server for origin/. Any other HTTP server may serve that folder instead.
host = ${quoted(host)}
port = ${originPort}
# How boxes reach the origin.
url = ${quoted(settings.originUrl ?? `http://${host}:${originPort}`)}

[api]
# The operator's page. Keep it on loopback; put a proxy with logins in front of it to open it up.
host = "127.0.0.1"
port = ${settings.apiPort ?? 8490}

[ingest]
# A title in ingest/ is published once nothing in it has changed for this many seconds.
quiet = 10

[entitlement]
# Which boxes get the key of a title: "all", those on the "list" (larder entitle allow), or whom a "callback" names. In
# every mode larder entitle deny keeps a title from a box, or from all, and takes keys back at once.
mode = "all"
# How long a box may use a key before it has to ask again. It asks by itself, at two thirds; a box that is cut off plays on
# until then, and so does one that was shut out and cannot be told.
lease = "24 h"
# With "callback": gets POST {box, serial, title, asset, region, at} and answers {allow, until?, reason?}, times in
# milliseconds since 1970. The secret stands alone in its file and is sent as a bearer token. While it fails or takes
# longer than timeout, nobody new gets a key, and what it allowed is renewed for as long as grace after its last yes.
# url = "https://subscribers.example/larder"
# secret_file = "keys/entitlement-secret"
# timeout = "3 s"
# concurrency = 32
# grace = "72 h"

[policy]
# Whether boxes offer neighbours what they hold only because someone watched it. "now": a title that many begin to watch
# spreads at once, and a neighbour can tell from what a box offers what is watched there. "later": each shard after a
# while of its own, 30 min to 6 h, which blurs when but not what; in a rush the origin carries more. "never": a neighbour learns
# nothing from what is offered, and every rush is the origin's and the placed copies'.
share_transient = "now"
# When boxes fill, whatever their larder.toml says: windows of a week, by the clock of a zone; outside of them boxes do not fill, and
# in standby only where a window says so. Rates are for each box; trunk and neighbours may be "none". Of two windows the later one holds.
# fill = { zone = "Europe/Berlin", windows = [{ days = "mon-fri", hours = "1-6", trunk = "20 Mbit/s", standby = true }, { days = "sat,sun", hours = "0-8" }] }
# How fast the region's boxes may fill themselves from the origin in all ("200 Mbit/s"); "0" is no limit. Each is told its part, which
# follows from how many have something to fetch. What viewers wait for is not held back by it.
origin_budget = "0"
# How long it is known which box got the keys of which titles; larder forget <box> erases it sooner.
keep_viewing = "30 days"

# Where new boxes ask to be let in, by what larder enrol claims has given the factory: url as boxes reach it, headend_url as the
# headend does. larder broker config writes what Mosquitto needs for both. Without this section no box enrols, and none that was off
# past its lease comes back by itself.
# [enrol]
# url = ${quoted(`mqtts://${host}:8884`)}
# headend_url = "mqtts://127.0.0.1:8885"
`;
}

/** A TOML string; JSON's escapes are a subset of TOML's. */
function quoted(value: string): string {
	return JSON.stringify(value);
}
