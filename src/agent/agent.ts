import { LarderError } from "../base/errors.ts";
import { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import { Recent } from "../base/recent.ts";
import { monotonic, SECOND } from "../base/time.ts";
import { boxView } from "../gateway/box.ts";
import { type Gateway, startGateway } from "../gateway/server.ts";
import { bootId, playerToken } from "../gateway/token.ts";
import { startIpc } from "../ipc/server.ts";
import type {
	Metrics,
	PlayerToken,
	PowerState,
	RecentLog,
} from "../wire/ipc.ts";
import { BUILT } from "./built.ts";
import { checkExpiry } from "./checks.ts";
import { BoxClock } from "./clock.ts";
import { type Config, loadConfig } from "./config.ts";
import { Doctor } from "./doctor.ts";
import { identityOf } from "./enrol.ts";
import { type Exchange, openExchange } from "./exchange.ts";
import { type Base, openFoundation } from "./foundation.ts";
import { householdHandlers } from "./household/handlers.ts";
import type { Identity } from "./identity.ts";
import { boundTo, InterfaceWatch } from "./interface.ts";
import { createRegistry } from "./metrics.ts";
import { createNotifier } from "./notify.ts";
import { readiness } from "./readiness.ts";
import { isResetOrdered } from "./reset.ts";
import { type Settings, type StatusParts, statusOf } from "./status.ts";
import { Support } from "./support.ts";
import { WaitingRoom } from "./waiting.ts";
import { type ConfigChange, watchConfig } from "./watch.ts";

/** How long a part may take to close before it is named; the whole is to take less than 5 s. */
const PATIENCE = SECOND;

export interface Agent {
	readonly gatewayPort: number;
	close(): Promise<void>;
}

/**
 * Starts a box: opens every part in order and wires them. Nothing here decides anything about titles.
 * Throws CONFIG_INVALID, IDENTITY_*, NO_BOOTSTRAP, BOX_BUSY, PORT_TAKEN, STORE_UNUSABLE or NOTIFY_FAILED.
 * @param onFatal the agent cannot go on and should be ended loudly
 * @param onUpdated another release is there, another address to bind, or a reset to begin with: the agent should be ended, to be
 *   started again
 * @param recent the last lines of `log`, for who helps
 */
export async function startAgent(
	configPath: string,
	log: Log,
	onFatal: (error: LarderError) => void,
	onUpdated: () => void,
	recent = new Recent(),
): Promise<Agent> {
	const began = monotonic();
	const loaded = await loadConfig(configPath);
	log.level = loaded.logLevel;
	const config = await boundTo(loaded, log);
	const parts = new ServiceGroup(PATIENCE, (name) =>
		log.warn({ part: name }, "slow to close"),
	);
	try {
		const notifier = createNotifier(
			(error) => log.warn({ err: error }, "once more, then it is serious"),
			onFatal,
		);
		parts.onClose("notifier", () => notifier.close());
		const clock = new BoxClock(BUILT);
		const room = new WaitingRoom(config, notifier, onFatal, log);
		const identity = await identityOf({
			...{ config, clock, log },
			onWait: (why) => room.wait(why),
		});
		await room.close();
		const { issuedAt, notBefore } = identity.certificate;
		clock.raise(issuedAt ?? notBefore, identity.envelope);
		const base = await openFoundation(config, identity, clock, parts, log);
		clock.onLearned(() => base.control.reconsider());
		const exchange = await openExchange(base, notifier, parts, onUpdated);
		warnOfExpiry(identity, log);
		const { releases } = base;
		const isOnTrial = async () => (await releases?.trial()) !== undefined;
		const network = new InterfaceWatch({
			...{ swarm: config.swarm, restart: onUpdated, isOnTrial, log },
		});
		parts.add("interface watch", network);
		let latest: Settings = { config: loaded, restart: [] };
		const gateway = await openDoors(
			{ ...base, ...exchange, latest: () => latest },
			{ recent, isOnTrial, restart: onUpdated },
			parts,
		);
		const watch = await watchConfig(
			configPath,
			loaded,
			(change) => {
				latest = change;
				apply(change, base, exchange);
			},
			(error) => log.error({ err: error }, "configuration not taken"),
		);
		parts.add("config watch", watch);
		await notifier.ready();
		parts.onClose("goodbye", () => notifier.stopping());
		log.info(
			{
				box: identity.boxId,
				region: identity.region,
				gateway: gateway.port,
				udp: exchange.swarm.dhtPort,
				tcp: exchange.swarm.tcpPort,
				startedIn: Math.round(monotonic() - began),
			},
			"ready",
		);
		return { gatewayPort: gateway.port, close: () => parts.close() };
	} catch (error) {
		await parts.close();
		throw error;
	}
}

/** What this run of the agent is, to whoever looks at it. */
interface Run {
	readonly recent: Recent;
	/** Whether another start would be held against what runs now. */
	readonly isOnTrial: () => Promise<boolean>;
	readonly restart: () => void;
}

/** The ways in for players and for who runs the box. */
async function openDoors(
	box: Base & Exchange & Pick<StatusParts, "latest">,
	run: Run,
	parts: ServiceGroup,
): Promise<Gateway> {
	const { recent } = run;
	const { config, identity, control, catalog, ledger, store, swarm } = box;
	const { library, log } = box;
	const { host, port, origins } = config.gateway;
	const registry = createRegistry(ledger, store, () => swarm, control);
	box.watching.register(registry);
	const token = config.gateway.token
		? playerToken(identity.keyPair.seed, await bootId())
		: undefined;
	const status = () => statusOf(box);
	const gateway = await startGateway({
		host,
		port,
		origins,
		token,
		library,
		time: identity.trust,
		registry,
		ready: () => readiness(control, catalog),
		box: async () => boxView(await status(), box.hours.inForce, box.hours.hour),
		log,
	});
	parts.add("gateway", gateway);
	const doctor = new Doctor(box);
	const examine = () => doctor.examine();
	box.wishes.help(
		new Support({ box: identity.boxId, config, status, examine, recent }),
	);
	const turn =
		(state: PowerState["power"]) => async (): Promise<PowerState> => {
			box.power.change(state);
			return { power: box.power.state };
		};
	const ipc = await startIpc({
		...config.ipc,
		handlers: {
			status,
			doctor: examine,
			log: async (): Promise<RecentLog> => ({ text: recent.text }),
			metrics: async (): Promise<Metrics> => ({
				text: await registry.metrics(),
			}),
			"player-token": async (): Promise<PlayerToken> => ({
				base: gateway.base,
				token: token ?? null,
			}),
			"power-active": turn("active"),
			"power-standby": turn("standby"),
			"power-off": turn("off"),
			...householdHandlers(box.household),
			"factory-reset": () => beginReset(config, run),
		},
		registry,
		log,
	});
	parts.add("ipc", ipc);
	return gateway;
}

/** Ends the agent, whose next start begins with the reset. Rejects with REQUEST_INVALID unless it was ordered. */
async function beginReset(config: Config, { isOnTrial, restart }: Run) {
	if (!isResetOrdered(config))
		throw new LarderError(
			"REQUEST_INVALID",
			"who resets the box must be able to write to its data folder",
		);
	if (await isOnTrial())
		throw new LarderError(
			"REQUEST_INVALID",
			"a release is on trial; it takes a minute",
		);
	// The answer goes first.
	setImmediate(restart);
	return { ok: true };
}

/** What takes effect while the box runs. */
function apply(
	change: ConfigChange,
	{ traffic, log }: Base,
	{ household, hours }: Exchange,
) {
	const { config, live, restart } = change;
	// A level that was set by command stays until the file says something else.
	if (live.includes("log_level")) log.level = config.logLevel;
	traffic.change(config.rates);
	const { upActive } = config.rates;
	household.change({ upActive, ...config.household, up: traffic.up });
	hours.change(config.fill);
	log.info({ live, restart }, "configuration changed");
}

function warnOfExpiry({ certificate, trust }: Identity, log: Log): void {
	const { level, finding, remedy } = checkExpiry(certificate, trust);
	if (level !== "ok") log.warn({ remedy }, `membership ${finding}`);
}
