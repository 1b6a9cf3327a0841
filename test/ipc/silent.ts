import type { IpcHandlers } from "../../src/ipc/session.ts";

const nothing = async () => "";

/** What an agent answers that has nothing to say. */
export const silentAgent: IpcHandlers = {
	status: nothing,
	doctor: nothing,
	metrics: nothing,
	"player-token": nothing,
	log: nothing,
	"power-active": nothing,
	"power-standby": nothing,
	"power-off": nothing,
	"factory-reset": nothing,
};
