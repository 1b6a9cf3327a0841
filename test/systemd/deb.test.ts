import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import pkg from "../../package.json" with { type: "json" };
import { run } from "../../scripts/run.ts";
import { NODE_FLAGS } from "../../src/agent/runtime.ts";
import { openMachine } from "./machine.ts";

const DEB = join(import.meta.dirname, "../../scripts/deb.ts");
const CONFIG = "/etc/larder/larder.toml";
/** What any installation leaves behind. */
const TRACES =
	/^(var\/(lib\/dpkg|log|cache\/debconf)\/|etc\/(passwd|group|shadow|gshadow)-?$|etc\/\.pwd\.lock$|tmp\/)/;

/** A network of its own: what leaves it is counted by its mark. Two packets of the agent's, one of somebody else's. */
const WIRE = `
ip link set lo up
ip link add out type veth peer name far
ip address add 10.9.0.1/24 dev out
ip link set out up
ip link set far up
ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev out
nft -f /usr/lib/larder/dscp.nft
nft -f /usr/lib/larder/dscp.nft
nft -f - <<'END'
table inet count {
	chain out {
		type filter hook postrouting priority 0;
		oifname "out" ip dscp 1 counter comment "marked"
		oifname "out" ip dscp 0 counter comment "others"
		oifname "lo" ip dscp 1 counter comment "on this box"
	}
}
END
send() { echo x > "/dev/udp/$1/9"; }
export -f send
as_agent() { setpriv --reuid larder --regid larder --clear-groups bash -c "$1"; }
as_agent "send 10.9.0.2; send 10.9.0.2; send 127.0.0.1"
send 10.9.0.2
nft list table inet count
`;

t.setTimeout(300_000);

const skip = process.getuid?.() !== 0 && "installing takes root";

t.test("packages come and go without a trace", { skip }, async (t) => {
	const out = await mkdtemp(join(tmpdir(), "larder-deb-"));
	t.teardown(() => rm(out, { recursive: true, force: true }));
	await run("node", [DEB, "--arch", "amd64", "--out", out, "--fast"]);
	const agent = `larder_${pkg.version}_amd64.deb`;
	const headend = `larder-headend_${pkg.version}_amd64.deb`;
	await newer(out, agent);
	const machine = await openMachine(t, out);
	const sh = (script: string) => machine.run("sh", "-ec", script);
	const units = [
		...["larder-agent", "larder-dscp", "larder-sleep"],
		...["larder-bootstrap", "larder-headend"],
	].map((name) => `/lib/systemd/system/${name}.service`);

	await t.test("installed, they run", async (t) => {
		await machine.run("dpkg", "--install", `/mnt/${agent}`, `/mnt/${headend}`);
		t.match(await sh("larder --version"), pkg.version);
		t.match(await sh("id larder && id larder-headend"), /uid=\d+\(larder\)/);
		t.match(
			await sh(
				"systemctl is-enabled larder-agent larder-dscp larder-sleep || true",
			),
			/^(enabled\n){3}/,
		);
		t.match(
			await sh("systemctl is-enabled larder-headend || true"),
			/^disabled/,
		);
		const operator = "/var/lib/larder-headend/operator";
		await sh(
			`install -d -o larder-headend /var/lib/larder-headend; setpriv --reuid larder-headend --regid larder-headend --clear-groups larder-headend init ${operator} --host 10.0.0.2`,
		);
		await sh(
			`larder-headend box-config -d ${operator} > /etc/larder/larder.toml.d/operator.toml`,
		);
		const told = await sh("larder doctor || true");
		t.match(told, /ok +configuration/);
		t.match(told, /fail +identity .*IDENTITY_MISSING/);
	});

	await t.test("systemd takes the units, and they are closed", async (t) => {
		const said = await machine.run("systemd-analyze", "verify", ...units);
		t.equal(said, "");
		const scores = await machine.run(
			...["systemd-analyze", "security", "--offline=true"],
			...["--threshold=15", ...units],
		);
		t.equal(scores.match(/Overall exposure level/g)?.length, units.length);
	});

	await t.test("it is started with its flags, and less often", async (t) => {
		const launch = await sh("cat /usr/lib/larder/launch");
		for (const flag of NODE_FLAGS)
			t.ok(launch.split(/\s+/).includes(flag), flag);
		// As systemd hands over that there is no claim: the agent says so and ends.
		await sh(`
			mkdir -p /tmp/run /run/credentials/larder-agent.service
			printf '{}' > /run/credentials/larder-agent.service/enrol.json
			chmod 400 /run/credentials/larder-agent.service/enrol.json
			printf '#!/bin/sh\necho "$1 s" >> /tmp/run/slept\n' > /tmp/run/sleep
			chmod +x /tmp/run/sleep
		`);
		const start = `RUNTIME_DIRECTORY=/tmp/run PATH=/tmp/run:$PATH /usr/lib/larder/launch 2>&1 || true`;
		for (let times = 0; times < 8; times++)
			t.match(await sh(start), "IDENTITY_MISSING");
		const slept = (await sh("cat /tmp/run/slept")).trim().split("\n");
		t.same(slept, ["1 s", "2 s", "4 s", "8 s", "16 s", "32 s", "32 s"]);
	});

	await t.test("what the agent sends gives way to all else", async (t) => {
		const said = await machine.run("unshare", "--net", "bash", "-ec", WIRE);
		const counted = [...said.matchAll(/packets (\d+) .*comment "(.*)"/g)].map(
			([, count, name]) => [name, Number(count)],
		);
		t.same(counted, [
			["marked", 2],
			["others", 1],
			["on this box", 0],
		]);
	});

	await t.test("an upgrade keeps what the owner changed", async (t) => {
		await sh(`echo '# mine' >> ${CONFIG}`);
		await sh("mkdir -p /var/lib/larder && echo secret > /var/lib/larder/kept");
		await machine.run("dpkg", "--install", "--force-confold", "/mnt/new.deb");
		t.match(await sh(`tail -n 1 ${CONFIG}`), "# mine");
		t.match(await sh(`tail -n 1 ${CONFIG}.dpkg-dist`), "# new");
		t.match(await sh("cat /var/lib/larder/kept"), "secret");
		t.match(await sh("dpkg-query -W larder"), `${pkg.version}+1`);
	});

	await t.test("removed, its data stays; purged, nothing does", async (t) => {
		await machine.run("dpkg", "--remove", "larder", "larder-headend");
		t.match(
			await sh("ls /var/lib/larder /etc/larder"),
			/larder\.toml\n.*kept/s,
		);
		const left = await sh("ls /usr/lib/larder /usr/bin/larder 2>&1 || true");
		t.match(left, /No such file.*No such file/s);
		await machine.run("dpkg", "--purge", "larder", "larder-headend");
		const changed = await machine.changed();
		t.same(
			changed.filter((path) => !TRACES.test(path)),
			[],
		);
	});
});

/** The package that comes after: another version, another default. */
async function newer(out: string, name: string): Promise<void> {
	const folder = join(out, "unpacked");
	await run("dpkg-deb", ["-R", join(out, name), folder]);
	const edit = async (path: string, change: (text: string) => string) => {
		const file = join(folder, path);
		await writeFile(file, change(await readFile(file, "utf8")));
	};
	await edit("DEBIAN/control", (text) =>
		text.replace(/^Version: .*/m, `Version: ${pkg.version}+1`),
	);
	await edit("etc/larder/larder.toml", (text) => `${text}# new\n`);
	const fast = ["--root-owner-group", "-Zzstd", "-z1", "--build"];
	await run("dpkg-deb", [...fast, folder, join(out, "new.deb")]);
	await rm(folder, { recursive: true });
}
