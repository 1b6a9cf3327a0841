import { PACKET_ROOM } from "../../control/connection.ts";
import type { NetworkId } from "../../wire/ids.ts";
import { MAX_MESSAGE } from "../../wire/json.ts";
import { HEADEND } from "../control/broker.ts";

/** What a Mosquitto configuration is made of. Paths in it are absolute, so that it may be started from anywhere. */
export interface MosquittoSettings {
	/** The folder that all its files lie in. */
	readonly dir: string;
	readonly network: NetworkId;
	/** Whom Mosquitto becomes when root starts it. */
	readonly user: string;
	/** Where boxes and headend connect with their certificates. */
	readonly port: number;
	/** Where boxes without a certificate ask for one. */
	readonly enrolPort: number;
	/** Where the headend hears them. */
	readonly enrolHeadendPort: number;
}

/** Requests and answers of an enrolment are small: certificates, and little else. */
const ENROL_MESSAGE = 16 * 1024;

/** All files of the configuration by name. They hold no secrets. */
export function mosquittoFiles(
	settings: MosquittoSettings,
): Readonly<Record<string, string>> {
	return {
		"mosquitto.conf": mainConfig(settings),
		acl: mainRules(settings.network),
		"mosquitto-enrol.conf": enrolConfig(settings),
		"enrol-boxes.acl": ENROL_BOX_RULES,
		"enrol-headend.acl": enrolHeadendRules(settings.network),
	};
}

/** The two names under which a headend connects: what it hears with, and what it speaks with. */
export function headendNames(network: NetworkId): [up: string, down: string] {
	const name = `${HEADEND}${network.slice(0, 16)}`;
	return [`${name}-up`, `${name}-down`];
}

function mainConfig({ dir, user, port }: MosquittoSettings): string {
	return `# Larder's broker: mosquitto -c ${dir}/mosquitto.conf
# Change what you like: "larder broker config" leaves this file as it is and renews server.pem beside it, and the headend writes
# crl.pem when a box is revoked. Mosquitto takes both up on SIGHUP, which ends nobody's connection.

# Only where root starts it. Files that Mosquitto reads have to be that user's.
user ${user}
per_listener_settings true
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information

# What the operator tells boxes stays over a restart. The headend could say all of it again.
persistence true
persistence_location ${dir}/data/
autosave_interval 300
# A box that is off longer is told everything anew.
persistent_client_expiration 14d

max_packet_size ${MAX_MESSAGE + PACKET_ROOM}
max_inflight_messages 20
max_queued_messages 200
max_queued_bytes ${4 * MAX_MESSAGE}
max_keepalive 600
set_tcp_nodelay true

# Boxes and headend, each by a certificate of the operator's. The certificate's name is user name and client id, whatever the client
# says: no box can end another's session or read its queue.
listener ${port}
${tlsLines(dir)}
require_certificate true
crlfile ${dir}/crl.pem
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
allow_zero_length_clientid false
acl_file ${dir}/acl
# As many files must Mosquitto be allowed to open: LimitNOFILE= in its unit.
max_connections 20000
`;
}

function mainRules(network: NetworkId): string {
	const [up, down] = headendNames(network);
	return `# %u is the name in the client's certificate. Everybody may ask to read anything; what these rules do not allow never comes.
pattern write larder/v1/box/%u/up/#
pattern read larder/v1/box/%u/down/#
# The same for all boxes; Mosquitto warns of a pattern without a name.
pattern read larder/v1/region/+/down/#
# Nobody is to know whose evening it was.
pattern write larder/v1/region/+/up/quality

user ${up}
topic read larder/v1/box/+/up/#
topic read larder/v1/region/+/up/quality

user ${down}
topic write larder/v1/box/+/down/#
topic write larder/v1/region/+/down/#
`;
}

function enrolConfig(settings: MosquittoSettings): string {
	const { dir, user, enrolPort, enrolHeadendPort } = settings;
	return `# Where new boxes ask for their certificates: mosquitto -c ${dir}/mosquitto-enrol.conf
# A process of its own, always: clients without a certificate choose their id, and in one process with mosquitto.conf a stranger who
# takes a box's id ends that box's session. "larder broker config" leaves this file as it is.

user ${user}
per_listener_settings true
log_dest stderr
log_type error
log_type warning
log_type notice
log_type information

# Nothing is kept, and nothing large is taken: anybody may knock here.
persistence false
retain_available false
persistent_client_expiration 1h
max_packet_size ${ENROL_MESSAGE + PACKET_ROOM}
max_inflight_messages 4
max_queued_messages 8
max_keepalive 120
memory_limit ${256 * 1024 * 1024}

# Boxes without a certificate. The server shows its own, and what matters is signed or sealed in the messages.
listener ${enrolPort}
${tlsLines(dir)}
allow_anonymous true
allow_zero_length_clientid false
acl_file ${dir}/enrol-boxes.acl
max_connections 1000

# The headend, by its certificate. It should take a client id that nobody guesses, for strangers could end its session by it.
listener ${enrolHeadendPort}
${tlsLines(dir)}
require_certificate true
crlfile ${dir}/crl.pem
use_identity_as_username true
allow_anonymous false
allow_zero_length_clientid false
acl_file ${dir}/enrol-headend.acl
max_connections 16
`;
}

const ENROL_BOX_RULES = `# %c is the client id: a box's id.
pattern write larder/v1/enrol/%c/up/request
pattern read larder/v1/enrol/%c/down/answer
`;

function enrolHeadendRules(network: NetworkId): string {
	return headendNames(network)
		.map(
			(name) => `user ${name}
topic read larder/v1/enrol/+/up/request
topic write larder/v1/enrol/+/down/answer
`,
		)
		.join("\n");
}

/** The server's certificate and key lie in one file, so that they are never of two makes. */
function tlsLines(dir: string): string {
	return `cafile ${dir}/ca.pem
certfile ${dir}/server.pem
keyfile ${dir}/server.pem
tls_version tlsv1.2`;
}
