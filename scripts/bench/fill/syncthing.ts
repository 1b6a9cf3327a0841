import { existsSync } from "node:fs";
import { link, mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { run } from "../../run.ts";
import type { Node } from "../network/network.ts";
import { Program } from "../network/program.ts";
import type { Contestant, Race, Stage } from "./contestant.ts";

const PORT = 22_000;

export const syncthing: Contestant = {
	name: "syncthing",
	about:
		"every device knows every other, and nothing beyond: no discovery, no relays; the source only sends, boxes only receive; blocks are verified",
	open,
};

interface Device {
	readonly node: Node;
	readonly home: string;
	readonly folder: string;
	readonly id: string;
	readonly way: "sendonly" | "receiveonly";
}

async function open({ dir, content, network }: Stage): Promise<Race> {
	const name = basename(content.file);
	const devices = await Promise.all(
		[network.source, ...network.boxes].map((node, i) => make(dir, node, i)),
	);
	const [source, ...boxes] = devices;
	if (source === undefined) throw new Error("there is no source");
	await link(content.file, join(source.folder, name));
	for (const device of devices) {
		const config = configOf(device, devices);
		await writeFile(join(device.home, "config.xml"), config);
	}
	const programs: Program[] = [];
	const begin = ({ node, home }: Device) => {
		const command = [
			// As the process that does the work, and not as one that watches over it.
			...["env", "STMONITORED=yes"],
			...["syncthing", "serve", `--home=${home}`],
			...["--no-browser", "--no-restart", "--no-upgrade"],
		];
		const log = join(home, "log");
		const program = new Program(`syncthing in ${home}`, node, command, log);
		programs.push(program);
	};
	return {
		pids: () => programs.slice(0, boxes.length).map(({ pid }) => pid),
		start: async () => {
			// The boxes wait for the source, which has to look through its file first.
			for (const device of [...boxes, source]) begin(device);
		},
		has: (box) => {
			for (const program of programs) program.mustRun();
			return existsSync(join(boxes[box]?.folder ?? "", name));
		},
		files: (box) => ({
			got: [join(boxes[box]?.folder ?? "", name)],
			wanted: [content.file],
		}),
		close: async () => {
			await Promise.all(programs.map((program) => program.close()));
		},
	};
}

async function make(dir: string, node: Node, index: number): Promise<Device> {
	const home = join(dir, `home-${index}`);
	const folder = join(dir, `folder-${index}`);
	// The folder's marker, without which Syncthing takes it for an unmounted disk.
	await mkdir(join(folder, ".stfolder"), { recursive: true });
	const options = [`--home=${home}`, "--no-default-folder"];
	await run("syncthing", ["generate", ...options, "--skip-port-probing"]);
	const id = (await run("syncthing", [`--home=${home}`, "--device-id"])).trim();
	const way = index === 0 ? "sendonly" : "receiveonly";
	return { node, home, folder, id, way };
}

function configOf({ folder, way }: Device, devices: readonly Device[]): string {
	const known = devices.map(
		({ id, node }) =>
			`<device id="${id}" compression="never"><address>tcp://${node.address}:${PORT}</address></device>`,
	);
	const shared = devices.map(({ id }) => `<device id="${id}"></device>`);
	return `<configuration version="35">
<folder id="content" path="${folder}" type="${way}" rescanIntervalS="3600" fsWatcherEnabled="false">${shared.join("")}</folder>
${known.join("\n")}
<gui enabled="true" tls="false"><address>127.0.0.1:8384</address></gui>
<options>
<listenAddress>tcp://0.0.0.0:${PORT}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled>
<relaysEnabled>false</relaysEnabled>
<natEnabled>false</natEnabled>
<startBrowser>false</startBrowser>
<urAccepted>-1</urAccepted>
<autoUpgradeIntervalH>0</autoUpgradeIntervalH>
<crashReportingEnabled>false</crashReportingEnabled>
<stunKeepaliveStartS>0</stunKeepaliveStartS>
<reconnectionIntervalS>5</reconnectionIntervalS>
</options>
</configuration>
`;
}
