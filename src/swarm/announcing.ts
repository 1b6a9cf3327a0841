import type HyperDHT from "hyperdht";
import type { Server } from "hyperdht";
import { SECOND } from "../base/time.ts";
import type { Millis } from "../base/units.ts";

/** Announced anew when so many times as many nodes are known as when it was last. */
const GROWN = 1.25;
/** Nodes come many at a time. */
const SOON: Millis = 2 * SECOND;

/**
 * Sees to it that this box is found by its key in a region that grows, as one does whose power has come back. HyperDHT announces a box to
 * the three nodes nearest to its key, and again five minutes later: until then boxes that came since lie nearer, who have not
 * heard of it, and whoever looks for it asks those.
 */
export class Announcing {
	private readonly dht: Pick<HyperDHT, "on" | "off" | "toArray">;
	private readonly server: Server;
	private timer: NodeJS.Timeout | undefined;
	private known: number;

	constructor(dht: Pick<HyperDHT, "on" | "off" | "toArray">, server: Server) {
		this.dht = dht;
		this.server = server;
		this.known = this.nodes;
		dht.on("add-node", this.grew);
	}

	close(): void {
		this.dht.off("add-node", this.grew);
		clearTimeout(this.timer);
	}

	private readonly grew = (): void => {
		if (this.timer !== undefined || this.nodes < GROWN * this.known) return;
		this.timer = setTimeout(() => {
			this.timer = undefined;
			this.known = this.nodes;
			this.server.refresh();
		}, SOON).unref();
	};

	private get nodes(): number {
		return this.dht.toArray().length;
	}
}
