import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { retireKeys, rotateKey } from "../../src/headend/operator/rotate.ts";
import { takeKeys } from "../../src/headend/rekeying.ts";
import { headendAccess } from "../../src/headend/tls/access.ts";
import { writeBroker } from "../../src/headend/tls/broker.ts";
import { readPapers } from "../../src/headend/tls/keys.ts";
import { splitLists } from "../../src/headend/tls/x509.ts";
import { region } from "./fixture.ts";

const sure = { force: true, countOld: async () => 0 };

t.test(
	"a running headend takes up what was changed, in this order",
	async (t) => {
		const dir = join(t.testdir(), "operator");
		const operator = await initOperator(dir, { region });
		const root = join(dir, "keys", "root.json");
		let done: string[] = [];
		const parts = {
			operator,
			fleet: { revoked: async () => [] },
			recall: { dropRetired: async () => void done.push("drop") },
			announcer: { announce: async () => void done.push("head") },
			lease: { renew: async () => void done.push("own lease") },
			renewal: {
				begin: () => void done.push("sign anew"),
				callIn: () => void done.push("call in"),
				tellAgain: () => void done.push("tell again"),
			},
			log: silent,
		};
		const take = async () => {
			done = [];
			await takeKeys(parts);
			return done;
		};
		t.same(await take(), ["drop", "head", "sign anew"], "nothing was changed");
		const { serial } = await rotateKey(operator, "placement", root).then(
			({ granted }) => granted,
		);
		t.same(await take(), ["drop", "head", "sign anew"]);
		t.equal(operator.signers.placement.granted.serial, serial);
		await retireKeys(operator, "placement", root, sure);
		t.same(await take(), ["drop", "head", "sign anew", "tell again"]);
		t.equal(operator.trust.minimum.get("placement"), serial);

		await t.test("an issuer's list reaches the broker", async (t) => {
			const { dir: broker } = await writeBroker(operator, {
				hosts: [],
				user: "root",
				port: 8883,
				enrolPort: 8884,
				enrolHeadendPort: 8885,
			});
			const lists = async () =>
				splitLists(await readFile(join(broker, "crl.pem"), "utf8"));
			const [, old] = await lists();
			await rotateKey(operator, "issuer", root);
			t.same(await take(), [
				"drop",
				"head",
				"sign anew",
				"own lease",
				"call in",
			]);
			t.ok(
				(await lists()).includes(old ?? ""),
				"whom the old one let in stays",
			);
			t.equal((await lists()).length, 3);
			await retireKeys(operator, "issuer", root, sure);
			t.same(await take(), ["drop", "head", "sign anew", "tell again"]);
			t.notOk((await lists()).includes(old ?? ""), "and is out with it");
			t.equal((await lists()).length, 2);
		});

		await t.test("and the headend comes in by the new one", async (t) => {
			const settings = { url: "mqtts://127.0.0.1:8883" };
			const broker = { ...operator.config.broker, ...settings };
			const config = { ...operator.config, broker };
			const { keyring } = operator;
			const access = await headendAccess({
				...operator,
				config,
				get signers() {
					return keyring.signers;
				},
			});
			await rotateKey(operator, "issuer", root);
			await take();
			const { cert } = (await access.tls?.("headend")) ?? {};
			const { authority } = await readPapers(operator);
			t.ok(String(cert).endsWith(authority.intermediate));
		});

		await t.test("keys that are damaged change nothing", async (t) => {
			const path = join(dir, "keys", "catalog.json");
			const whole = await readFile(path);
			await writeFile(path, "{");
			done = [];
			await t.rejects(takeKeys(parts), { code: "OPERATOR_INVALID" });
			t.same(done, []);
			await writeFile(path, whole);
			t.same(await take(), ["drop", "head", "sign anew"]);
		});
	},
);
