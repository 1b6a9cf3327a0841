import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Test } from "tap";
import { type Log, silent } from "../../../src/base/log.ts";
import type { Clock } from "../../../src/base/time.ts";
import { blankDatabase } from "../../../src/desk/blank.ts";
import { Audit } from "../../../src/headend/audit.ts";
import {
	addBatch,
	claimIn,
	theBatch,
} from "../../../src/headend/enrol/batches.ts";
import { Registrar } from "../../../src/headend/enrol/registrar.ts";
import { openDatabase } from "../../../src/headend/fleet/database.ts";
import { Fleet } from "../../../src/headend/fleet/fleet.ts";
import { readIssued } from "../../../src/headend/operator/issue.ts";
import {
	initOperator,
	type Operator,
} from "../../../src/headend/operator/operator.ts";
import {
	type Enrolment,
	encodeEnrolment,
	type Issuance,
	issuance,
	type Papers,
} from "../../../src/wire/enrol.ts";
import { unseal } from "../../../src/wire/envelope.ts";
import type { BoxId } from "../../../src/wire/ids.ts";
import { generateKeyPair } from "../../../src/wire/keys.ts";
import { Happenings, REGION } from "../../control/operator.ts";

/** Batches of every office: boxes with claims of their own, and boxes that share one. */
export const OWN = "own-1";
export const SHARED = "shared-1";

/** An operator's records of boxes, with all that rests on them. */
export async function openStores(t: Test, operator: Operator, log: Log) {
	await addBatch(operator, OWN, false);
	await addBatch(operator, SHARED, true);
	await blankDatabase(join(operator.dir, "db"));
	const database = await openDatabase(join(operator.dir, "db"));
	const audit = await Audit.open(database, log);
	const issued = (box: BoxId) => readIssued(operator.dir, box);
	const fleet = new Fleet({ database, issued, log });
	t.teardown(async () => {
		audit.close();
		await fleet.close();
		await database.close();
	});
	const revoked = new Set<BoxId>();
	const revoke = async (box: BoxId, why?: string) => {
		revoked.add(box);
		await fleet.revoke(box, why);
	};
	const isRevoked = (box: BoxId) => revoked.has(box);
	return { operator, database, audit, fleet, isRevoked, revoke };
}

/** A registrar whose answers are noted as they leave. */
export async function openOffice(t: Test, now: Clock = Date.now) {
	const dir = join(t.testdir(), "operator");
	const operator = await initOperator(dir, { region: REGION });
	const stores = await openStores(t, operator, silent);
	const { fleet } = stores;
	const answers = new Happenings<readonly [BoxId, Buffer]>();
	const registrar = new Registrar({
		...stores,
		onEntered: (issued) => fleet.enter(issued),
		answer: async (box, message) => answers.add([box, message]),
		onChange: () => undefined,
		log: silent,
		now,
	});
	t.teardown(() => registrar.close());
	return {
		...stores,
		registrar,
		answers,
		/** Hands a request in, and gives what is answered to it, if anything is. */
		async ask(box: Applicant, claim?: Buffer): Promise<Issuance | undefined> {
			const { message, nonce } = box.ask(claim);
			await registrar.hear(box.id, message);
			return answers.all
				.filter(([to]) => to === box.id)
				.map(([, answer]) => box.open(answer))
				.find((said) => said.nonce === nonce);
		},
	};
}

/** A box with a key of its own, that asks. */
export class Applicant {
	readonly pair = generateKeyPair();
	readonly id = this.pair.publicKey.toString("hex") as BoxId;
	readonly operator: Operator;
	readonly serial: string;
	readonly batch: string;

	constructor(operator: Operator, serial: string, batch = OWN) {
		this.operator = operator;
		this.serial = serial;
		this.batch = batch;
	}

	/** What the factory wrote for this box. */
	async claim(): Promise<Buffer> {
		return claimIn(await theBatch(this.operator, this.batch), this.serial);
	}

	ask(claim?: Buffer, over: Partial<Enrolment> = {}) {
		const nonce = randomBytes(16).toString("hex");
		const { serial, batch, operator, pair } = this;
		const { network } = operator;
		const asked = { network, nonce, serial, batch, ...over };
		return { nonce, message: encodeEnrolment(asked, pair, claim) };
	}

	/** An answer, which must be the issuer's and for this box. */
	open(answer: Buffer): Issuance {
		const read = unseal(answer, "issuer", issuance, this.operator.trust);
		if (!read.ok) throw new Error(read.detail);
		if (read.value.box !== this.id) throw new Error("for another box");
		return read.value;
	}
}

/** Throws what was answered instead. */
export function papersIn(said: Issuance | undefined): Papers {
	if (said?.papers === undefined) throw new Error(JSON.stringify(said));
	return said.papers;
}
