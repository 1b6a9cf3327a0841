/**
 * How Node is to be started for a box's agent. Collecting garbage on the agent's own thread takes about a fifth less CPU for
 * each megabyte exchanged than V8's helper threads do, which receivers' few cores cannot spare; a small young generation keeps
 * buffers that have passed from piling up. While V8 marks in steps it collects nothing young, and network buffers, which lie
 * outside its heap, make it mark again and again: marking in one go costs a short pause now and then, and saves memory and CPU
 * at full speed. `npm run bench -- exchange` runs its boxes with these.
 */
export const NODE_FLAGS = [
	"--single-threaded-gc",
	"--max-semi-space-size=2",
	"--no-incremental-marking",
] as const;
