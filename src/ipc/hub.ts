import ipc from "node-ipc";

/**
 * An instance of node-ipc of our own: the module itself is one shared hub that logs payloads and reconnects for ever. Its other
 * defaults are not reached: a path is always given (or else it would be below /tmp), and the TLS keys that come with it, known
 * to everybody, are for TCP.
 */
export function createHub(): InstanceType<typeof ipc.IPC> {
	const hub = new ipc.IPC();
	hub.config.silent = true;
	// Frames are ours: node-ipc's own collects text without a bound until its delimiter comes.
	hub.config.rawBuffer = true;
	hub.config.encoding = "utf8";
	// It would unlink whatever lies at the path, the socket of a live agent too.
	hub.config.unlink = false;
	hub.config.tls = false;
	hub.config.maxRetries = 0;
	hub.config.stopRetrying = true;
	return hub;
}
