import type { Bytes, Millis } from "../../../src/base/units.ts";
import {
	type Figures,
	megabytesPerSecond,
	perMegabyte,
} from "../measure/figures.ts";
import { cpuOf, type Memory } from "../measure/process.ts";
import type { Content } from "./content.ts";

/** Where a run takes place. */
export interface Stage {
	/** An empty folder for what this run writes. */
	readonly dir: string;
	readonly content: Content;
	/** Where V8 profiles go; undefined for a run that counts. */
	readonly profiles: string | undefined;
}

/** A way to bring the content from one process to another process and its disk. */
export interface Contestant {
	readonly name: string;
	/** What is meant by it, for the reader of the table. */
	readonly about: string;
	/** Moves the content once. The files given back, end to end, are the content. */
	run(stage: Stage, signal: AbortSignal): Promise<Outcome>;
}

/** A moment of a run: when it was, and the CPU that both ends had used by then. */
export interface Mark {
	readonly at: Millis;
	readonly sender: Millis;
	readonly receiver: Millis;
}

export function markNow(at: Millis, sender: number, receiver: number): Mark {
	return { at, sender: cpuOf(sender), receiver: cpuOf(receiver) };
}

export interface Course {
	/** The first byte of content was at the receiver. */
	readonly first: Mark;
	/** The receiver had all and said so. */
	readonly done: Mark;
	/** All was synced to the disk. */
	readonly synced: Mark;
	readonly memory: { readonly sender: Memory; readonly receiver: Memory };
	readonly written: Bytes;
}

/** A part of a file that holds content. */
export interface Piece {
	readonly path: string;
	readonly bytes: Bytes;
}

export interface Outcome {
	readonly course: Course;
	readonly pieces: readonly Piece[];
}

export const FIGURES = [
	"mbps",
	"mbpsSynced",
	"cpuSender",
	"cpuReceiver",
	"cpuBoth",
	"pssSender",
	"pssReceiver",
	"anonymousSender",
	"anonymousReceiver",
	"written",
] as const;
export type Figure = (typeof FIGURES)[number];

/**
 * MB/s from the first byte of content until the receiver said that it had all (`mbps`), and until all was synced; CPU in ms/MB
 * of each end until it was synced; peaks of memory in MB; bytes written to disk by the receiver / content. MB is 10^6 bytes.
 */
export function figuresOf(course: Course, size: Bytes): Figures<Figure> {
	const { first, done, synced, memory, written } = course;
	const cpu = (end: "sender" | "receiver") =>
		perMegabyte(synced[end] - first[end], size);
	return {
		mbps: megabytesPerSecond(size, done.at - first.at),
		mbpsSynced: megabytesPerSecond(size, synced.at - first.at),
		cpuSender: cpu("sender"),
		cpuReceiver: cpu("receiver"),
		cpuBoth: cpu("sender") + cpu("receiver"),
		pssSender: memory.sender.pss / 1e6,
		pssReceiver: memory.receiver.pss / 1e6,
		anonymousSender: memory.sender.anonymous / 1e6,
		anonymousReceiver: memory.receiver.anonymous / 1e6,
		written: written / size,
	};
}
