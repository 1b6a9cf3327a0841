import type { IncomingMessage, ServerResponse } from "node:http";
import type * as z from "zod/mini";
import type { Audit, Change } from "../audit.ts";
import type { Visitor } from "./door.ts";
import { readBody, sendJson, sendText, type Text } from "./reply.ts";
import type { Role } from "./tokens.ts";

export interface Asked {
	readonly request: IncomingMessage;
	readonly response: ServerResponse;
	readonly path: string;
	readonly query: URLSearchParams;
	readonly visitor: Visitor;
}

export interface Route {
	/** Who may ask. */
	readonly role: Role;
	readonly answer: (asked: Asked) => Promise<void> | void;
}

/** Routes by path and method. */
export type Routes = Readonly<
	Record<string, Partial<Readonly<Record<string, Route>>>>
>;

/** A route that only looks. */
export function reads(view: (asked: Asked) => Promise<unknown>): Route {
	return {
		role: "viewer",
		answer: async (asked) => sendJson(asked.response, await view(asked)),
	};
}

/** As `reads`, of a text that is no JSON. */
export function tells(view: (asked: Asked) => Promise<Text>): Route {
	return {
		role: "viewer",
		answer: async (asked) => sendText(asked.response, await view(asked)),
	};
}

interface ChangeOptions<T> {
	/** Why a result is none: a code. */
	readonly fault?: (result: T) => string | undefined;
	/** Of the request, in bytes. */
	readonly limit?: number;
}

/** Makes routes that change something: for operators, and on record before it happens. */
export function changesIn(audit: Audit) {
	return <S extends z.ZodMiniType, T>(
		schema: S,
		/** `how` is what else of the request makes the change. */
		what: (body: z.output<S>) => Change & { readonly how?: string },
		work: (body: z.output<S>, visitor: Visitor) => Promise<T>,
		{ fault, limit }: ChangeOptions<T> = {},
	): Route => ({
		role: "operator",
		answer: async ({ request, response, path, visitor }) => {
			const body = await readBody(request, schema, limit);
			const { how, ...it } = what(body);
			const asked = `${request.method} ${path}`;
			const change = { ...it, request: how ? `${asked}: ${how}` : asked };
			const done = () => work(body, visitor);
			sendJson(response, await audit.carryOut(visitor, change, done, fault));
		},
	});
}
