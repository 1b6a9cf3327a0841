import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import type { Test } from "tap";
import { silent } from "../../../src/base/log.ts";
import { MINUTE, monotonic, SECOND } from "../../../src/base/time.ts";
import type { Millis } from "../../../src/base/units.ts";
import { MqttSession } from "../../../src/control/client.ts";
import type { BrokerAccess } from "../../../src/control/connection.ts";
import type { Neighbourhood } from "../../../src/desk/neighbourhood.ts";
import { freeTcpPort, freeUdpPort } from "../../../src/desk/ports.ts";
import { HEADEND } from "../../../src/headend/control/broker.ts";
import { issueBox } from "../../../src/headend/operator/issue.ts";
import type { Operator } from "../../../src/headend/operator/operator.ts";
import { readReleaseFile } from "../../../src/headend/release/file.ts";
import { publishRelease } from "../../../src/headend/release/publish.ts";
import { signRelease } from "../../../src/headend/release/sign.ts";
import { callIpc } from "../../../src/ipc/client.ts";
import type { Command, CommandBody } from "../../../src/wire/command.ts";
import { seal } from "../../../src/wire/envelope.ts";
import type { BoxId, TitleId } from "../../../src/wire/ids.ts";
import { playerToken } from "../../../src/wire/ipc.ts";
import { parseMessage, parseValue } from "../../../src/wire/json.ts";
import {
	type Response,
	response,
	type State,
	state,
} from "../../../src/wire/reports.ts";
import { downTopic, upTopic } from "../../../src/wire/topics.ts";
import { Happenings } from "../../control/operator.ts";
import type { Film } from "../desk.ts";
import { Unit } from "./unit.ts";

const ROOT = join(import.meta.dirname, "../../..");
const run = promisify(execFile);

/** A box whose agent is started as the unit starts it. */
export interface UnitBox {
	readonly id: BoxId;
	readonly dir: string;
	readonly unit: Unit;
}

/** A published release, and what is sent to boxes. */
export interface Published {
	readonly path: string;
	readonly order: Extract<CommandBody, { kind: "update" }>;
	readonly id: TitleId;
	readonly version: string;
}

/** Issues a box with a gateway that stays where it is, and starts it. */
export async function addUnit(
	t: Test,
	desk: Neighbourhood,
	name: string,
): Promise<UnitBox> {
	const dir = join(desk.dir, name);
	const id = await issueBox(desk.operator, {
		serial: name,
		dir,
		data: "state/data",
		swarmHost: "127.0.0.1",
		// As on a receiver: neighbours find it where it was.
		swarmPort: await freeUdpPort(),
		reach: "direct",
		quota: "1 GiB",
		takeover: "1 s",
		gatewayPort: await freeTcpPort(),
		playerToken: true,
		socket: join(dir, "agent.sock"),
	});
	desk.observer.follow(id);
	const unit = await Unit.install(dir);
	t.teardown(() => unit.stop());
	await unit.start();
	return { id, dir, unit };
}

/** Builds a bundle; `program` is what runs in it, the agent unless given. */
export async function bundle(
	out: string,
	version: string,
	program?: string,
	target = `linux-${process.arch}`,
): Promise<string> {
	const entry = [
		...["--target", target],
		...(program === undefined ? [] : ["--entry", program]),
	];
	const args = ["--quiet", "--release", version, "--out", out, ...entry];
	await run(process.execPath, [join(ROOT, "build.mjs"), ...args]);
	const folder = join(out, target);
	// By its addons it is known for whom it is; these programs have none.
	const addons = join(folder, `prebuilds/${target}`);
	await mkdir(addons, { recursive: true });
	await writeFile(join(addons, "none.node"), "none");
	return folder;
}

/** Signs a bundle with the operator's key and publishes it. */
export async function release(
	desk: Neighbourhood,
	folder: string,
): Promise<Published> {
	const { operator } = desk;
	const key = join(operator.dir, "keys/release.json");
	const made = await signRelease(operator, {
		...{ bundle: folder, key, out: desk.dir },
	});
	const { signal } = new AbortController();
	const { title } = await publishRelease(operator, made.path, signal);
	const { id } = title;
	return {
		path: made.path,
		order: await orderOf(operator, made.path, id),
		id,
		version: made.said.version,
	};
}

/** What boxes are told of a release file that was published as a title. */
export async function orderOf(
	{ trust }: Pick<Operator, "trust">,
	path: string,
	title: TitleId,
): Promise<Published["order"]> {
	const { statement } = await readReleaseFile(path, trust);
	return { kind: "update", title, statement };
}

/** Reads the beginning of a film again and again, as a player that tries again; gives how long it had to wait at most. */
export async function keepPlaying(
	{ dir }: UnitBox,
	film: Film,
	until: Promise<unknown>,
): Promise<{ longest: Millis; mismatches: number }> {
	const wanted = (await readFile(film.source)).subarray(0, 65_536);
	const [file] = film.manifest.files;
	let going = true;
	void until.finally(() => {
		going = false;
	});
	let last = monotonic();
	let longest = 0;
	let mismatches = 0;
	let base: string | undefined;
	while (going) {
		try {
			base ??= await playerBase(dir);
			const url = `${base}/titles/${film.id}/${file?.path}`;
			const answer = await fetch(url, { headers: { range: "bytes=0-65535" } });
			if (!answer.ok) throw new Error(await answer.text());
			if (!wanted.equals(Buffer.from(await answer.arrayBuffer()))) mismatches++;
			longest = Math.max(longest, monotonic() - last);
			last = monotonic();
		} catch {
			// The agent is being started: as any player does.
		}
		await wait(20);
	}
	return { longest: Math.round(longest), mismatches };
}

/** What a player's addresses on a box start with. */
export async function playerBase(dir: string): Promise<string> {
	const told = await callIpc(join(dir, "agent.sock"), "player-token", SECOND);
	const read = parseValue(playerToken, told);
	if (!read.ok) throw new Error(read.detail);
	return read.value.base;
}

/** Resolves when the box says that it runs this version and that it is not on trial. */
export function settled({ states }: Line, version: string): Promise<State> {
	return states.until(
		({ version: runs, online, update }) =>
			online && runs === version && update?.phase !== "trial",
	);
}

/** Speaks to boxes as the headend does, and hears what they say. */
export class Line {
	readonly states = new Happenings<State>();
	private readonly answers = new Happenings<Response>();
	private readonly desk: Neighbourhood;
	private readonly session: MqttSession;

	private constructor(
		desk: Neighbourhood,
		box: BoxId,
		access: BrokerAccess,
		onUp: () => void,
	) {
		this.desk = desk;
		this.session = new MqttSession({
			...access,
			clientId: `${HEADEND}test-${randomBytes(4).toString("hex")}`,
			subscriptions: [upTopic(box, "state"), upTopic(box, "response")],
			onUp,
			onMessage: async (topic, payload) => {
				const said = parseMessage(state, payload);
				if (topic === upTopic(box, "state") && said.ok)
					this.states.add(said.value);
				const answer = parseMessage(response, payload);
				if (topic === upTopic(box, "response") && answer.ok)
					this.answers.add(answer.value);
			},
			log: silent,
		});
	}

	/** @param access how the broker lets it in; one that lets in anybody unless given */
	static async open(
		t: Test,
		desk: Neighbourhood,
		box: BoxId,
		access: BrokerAccess = { url: desk.brokerUrl },
	): Promise<Line> {
		const up = Promise.withResolvers<void>();
		const line = new Line(desk, box, access, up.resolve);
		t.teardown(() => line.session.close());
		line.session.start();
		await up.promise;
		return line;
	}

	/** Gives what the box answers. */
	async ask(box: BoxId, body: CommandBody): Promise<Response> {
		const { network, signers } = this.desk.operator;
		const id = randomBytes(16).toString("hex");
		const issuedAt = Date.now();
		const expires = issuedAt + MINUTE;
		const said: Command = { network, box, id, issuedAt, expires, body };
		const sealed = seal(signers.placement, said);
		await this.session.publish(downTopic(box, "command"), sealed, {});
		return await this.answers.until((answer) => answer.id === id);
	}
}
