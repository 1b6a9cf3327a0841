import { X509Certificate } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import t from "tap";
import { silent } from "../../src/base/log.ts";
import { initOperator } from "../../src/headend/operator/operator.ts";
import { retireKeys, rotateKey } from "../../src/headend/operator/rotate.ts";
import { leftToDo, takeKeys } from "../../src/headend/rekeying.ts";
import { headendAccess } from "../../src/headend/tls/access.ts";
import { writeBroker } from "../../src/headend/tls/broker.ts";
import { readPapers } from "../../src/headend/tls/keys.ts";
import { isServerOld, serverTroubles } from "../../src/headend/tls/server.ts";
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
		let todo: readonly string[] = [];
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
			todo = await takeKeys(parts);
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
				hosts: ["a.example"],
				user: "root",
				port: 8883,
				enrolPort: 8884,
				enrolHeadendPort: 8885,
			});
			const lists = async () =>
				splitLists(await readFile(join(broker, "crl.pem"), "utf8"));
			const shown = async () =>
				(await readFile(join(broker, "server.pem"), "utf8")).includes(
					(await readPapers(operator)).authority.intermediate,
				);
			const [, old] = await lists();
			await rotateKey(operator, "issuer", root);
			await operator.keyring.reread();
			t.notOk(await shown());
			t.ok(await isServerOld(operator));
			t.same(await serverTroubles(operator), [
				"the broker's certificate is of an issuer that was replaced: run larder broker config, then send every broker a SIGHUP",
			]);
			await rotateKey(operator, "issuer", root);
			t.same(await take(), [
				"drop",
				"head",
				"sign anew",
				"own lease",
				"call in",
			]);
			t.ok(await shown(), "so does the broker's own certificate");
			t.notOk(await isServerOld(operator));
			t.same(await serverTroubles(operator), []);
			const { subjectAltName } = new X509Certificate(
				await readFile(join(broker, "server.pem")),
			);
			t.equal(subjectAltName, "IP Address:127.0.0.1, DNS:a.example");
			t.ok(
				(await lists()).includes(old ?? ""),
				"whom the old one let in stays",
			);
			t.equal((await lists()).length, 3);
			await retireKeys(operator, "issuer", root, sure);
			t.same(
				await take(),
				["drop", "head", "sign anew", "tell again", "call in"],
				"boxes that have nothing else are told to ask",
			);
			t.notOk((await lists()).includes(old ?? ""), "and is out with it");
			t.equal((await lists()).length, 2);
			t.same(todo, [], "boxes of this broker do not ask for certificates");
		});

		await t.test("what is left to do is said", async (t) => {
			const { broker } = operator.config;
			const left = (
				how: Parameters<typeof leftToDo>[1],
				more: Partial<typeof broker> = {},
			) => {
				const url = "mqtts://127.0.0.1:8883";
				const settings = { ...broker, url, ...more };
				const config = { ...operator.config, broker: settings };
				return leftToDo({ dir, config }, how).join("\n");
			};
			t.match(left("renewed"), /^send every broker a SIGHUP, or set broker/);
			t.match(left("kept"), /^send every broker a SIGHUP/, "for its lists");
			t.match(left("kept", { reload: [] }), /^send every broker a SIGHUP/);
			t.match(left("away"), /holds no certificate .*--out/);
			t.match(left("foreign"), /another user's: .* run larder broker config/);
			for (const how of ["renewed", "kept"] as const)
				t.equal(left(how, { reload: ["true"] }), "");
			t.equal(left("away", { username: "headend" }), "");
			t.equal(left("away", { ca: "another.pem" }), "");
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
