import * as z from "zod/mini";

/** One frame is one line of JSON. Longer ones end the connection. */
export const MAX_IPC_FRAME = 256 * 1024;

export const IPC_METHODS = ["status", "doctor"] as const;
export type IpcMethod = (typeof IPC_METHODS)[number];

export const ipcRequest = z.object({
	id: z.number().check(z.int(), z.nonnegative()),
	method: z.enum(IPC_METHODS),
});
export type IpcRequest = z.output<typeof ipcRequest>;

export const ipcReply = z.union([
	z.object({ id: z.number(), ok: z.literal(true), result: z.unknown() }),
	z.object({
		id: z.nullable(z.number()),
		ok: z.literal(false),
		code: z.string(),
		message: z.string(),
	}),
]);
export type IpcReply = z.output<typeof ipcReply>;
