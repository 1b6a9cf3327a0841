import type { Command } from "commander";
import { describe } from "../base/errors.ts";
import { createLog, type Log } from "../base/log.ts";
import type { Broker, BrokerTls } from "../headend/control/broker.ts";
import { openOperator } from "../headend/operator/operator.ts";
import { embeddedTls, writeBroker } from "../headend/tls/broker.ts";
import { whole } from "./argument.ts";
import { DIR } from "./folder.ts";
import { print } from "./output.ts";
import { runService } from "./program.ts";

const port = whole(1, 65_535);

/** The MQTT broker: a small one of our own, and what another needs to know of the operator. */
export function addBrokerCommands(program: Command): void {
	// `broker config` has options of the same names as `broker`.
	const broker = program
		.enablePositionalOptions()
		.command("broker")
		.enablePositionalOptions()
		.description("run a small MQTT broker: on loopback, or anywhere with --tls")
		.option("--host <address>", "where to listen", "127.0.0.1")
		.option("--port <port>", "1883, or 8883 with --tls", whole(0, 65_535))
		.option(
			"--tls",
			"let in boxes and headend by the operator's certificates, and nobody else",
		)
		.option(...DIR)
		.action(
			async (options: {
				host: string;
				port?: number;
				tls?: true;
				dir: string;
			}) => {
				const { host, dir, port = options.tls ? 8883 : 1883 } = options;
				const log = createLog("broker", "info");
				const papers = async () => embeddedTls(await openOperator(dir), host);
				await runService(log, async () => {
					const { startBroker } = await import("../headend/control/broker.ts");
					const tls = options.tls && (await papers());
					const broker = await startBroker({
						...{ host, port, log },
						...(tls && { tls }),
					});
					if (tls) process.on("SIGHUP", () => void renew(broker, papers, log));
					log.info({ port: broker.port }, "ready");
					return broker;
				});
			},
		);
	addConfigCommand(broker);
}

/** As Mosquitto does on SIGHUP: certificate and revocation list are new for whoever comes. */
async function renew(
	broker: Broker,
	papers: () => Promise<BrokerTls>,
	log: Log,
): Promise<void> {
	try {
		broker.renew(await papers());
		log.info({}, "certificate and revocation list are renewed");
	} catch (error) {
		log.error({}, `not renewed: ${describe(error)}`);
	}
}

function addConfigCommand(broker: Command): void {
	broker
		.command("config")
		.description(
			"write what Mosquitto needs to serve this operator; again, to renew its certificate",
		)
		.option(...DIR)
		.option(
			"--host <name>",
			"a name or address by which boxes reach the broker, besides the one in operator.toml; may be repeated",
			(host: string, hosts: string[] = []) => [...hosts, host],
		)
		.option(
			"--out <folder>",
			"elsewhere than broker/ in the operator's folder, where alone crl.pem is kept up to date",
		)
		.option("--user <name>", "whom Mosquitto runs as", "mosquitto")
		.option(
			"--port <port>",
			"for boxes and headend; the one in operator.toml unless given",
			port,
		)
		.option("--enrol-port <port>", "for boxes that enrol", port, 8884)
		.option("--enrol-headend-port <port>", "for the headend there", port, 8885)
		.action(
			async (options: {
				dir: string;
				host?: string[];
				out?: string;
				user: string;
				port?: number;
				enrolPort: number;
				enrolHeadendPort: number;
			}) => {
				const { dir: operatorDir, host: hosts = [], ...settings } = options;
				const operator = await openOperator(operatorDir);
				const { dir, ...made } = await writeBroker(operator, {
					...settings,
					hosts,
				});
				const until = new Date(made.notAfter).toISOString().slice(0, 10);
				print(`certificate for ${made.hosts.join(", ")} until ${until}`);
				print(`run: mosquitto -c ${dir}/mosquitto.conf`);
				print(
					`and, where boxes enrol: mosquitto -c ${dir}/mosquitto-enrol.conf`,
				);
				print("if they run already: send both a SIGHUP");
				if (!operator.config.broker.url.startsWith("mqtts:"))
					print("next: have broker.url in operator.toml begin with mqtts://");
				if ((operator.config.broker.reload ?? []).length === 0)
					print(
						"next: set reload under [broker], or a box that is revoked comes back to the broker",
					);
			},
		);
}
