import { join } from "node:path";
import { startNginx } from "../measure/nginx.ts";
import type { Contestant, House, Stage } from "./contestant.ts";

const PORT = 8490;

/** Everything over the trunk, as without Larder. */
export const trunk: Contestant = {
	name: "nginx over the trunk",
	about: "nginx on the source, behind the trunk, for all viewers",
	open: async ({ dir, film, network: { source } }): Promise<House> => {
		const listen = `${source.address}:${PORT}`;
		const work = join(dir, "nginx");
		const { close } = await startNginx(work, film, listen, source.through);
		return {
			urlOf: () => `http://${listen}`,
			sourcesOf: async () => undefined,
			close,
		};
	},
};

/** The same player and bytes from the viewer's own machine: what no network could be faster than. */
export const control: Contestant = {
	name: "control",
	about: "nginx on the viewer's own machine, with the whole film",
	open: async ({ dir, film, network }: Stage): Promise<House> => {
		const listen = `127.0.0.1:${PORT}`;
		const servers = await Promise.all(
			network.boxes.map(({ through }, i) =>
				startNginx(join(dir, `nginx-${i}`), film, listen, through),
			),
		);
		return {
			urlOf: () => `http://${listen}`,
			sourcesOf: async () => undefined,
			close: async () => {
				await Promise.all(servers.map(({ close }) => close()));
			},
		};
	},
};
