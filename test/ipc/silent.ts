import { always, type IpcHandlers } from "../../src/ipc/session.ts";

/** What an agent answers that has nothing to say. */
export const silentAgent: IpcHandlers = always(async () => "");
