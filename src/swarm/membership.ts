import type { NoiseStream } from "@hyperswarm/secret-stream";
import c from "compact-encoding";
import type Protomux from "protomux";
import type { Message } from "protomux";
import { bad, good, type Result } from "../base/result.ts";
import { SECOND } from "../base/time.ts";
import {
	checkDates,
	type Envelope,
	type EnvelopeReason,
	type Trust,
	unsealParsed,
} from "../wire/envelope.ts";
import type { BoxId, Region } from "../wire/ids.ts";
import { encodeMessage, type ParseReason, parseMessage } from "../wire/json.ts";
import {
	type Certificate,
	certificate,
	type Hello,
	hello,
	news,
} from "../wire/membership.ts";

const PROTOCOL = "larder/membership/1";
const PATIENCE = 3 * SECOND;
const MAX_HELLO = 64 * 1024;
const MAX_NEWS = 4 * 1024 * 1024;

/** Why a connection was not let in. Stable: they are logged, counted and reported. */
export type AdmissionReason =
	| EnvelopeReason
	| ParseReason
	| "key-mismatch"
	| "wrong-region"
	| "revoked"
	| "silent"
	| "gone";

/** What this side shows, and what it asks of the other. */
export interface Membership {
	readonly region: Region;
	readonly trust: Trust;
	readonly certificate: Envelope;
	readonly tcp: () => Hello["tcp"];
	readonly isRevoked: (box: BoxId) => boolean;
	readonly currentHead: () => Envelope | undefined;
	/** A neighbour passed on a head; it is checked and kept if it is newer. */
	readonly offerHead: (head: Envelope) => void;
}

/** Somebody whose certificate passed, on a connection on which ours passed too. */
export interface Member {
	readonly box: BoxId;
	readonly certificate: Certificate;
	readonly tcp: Hello["tcp"];
	/** Passes a newer head on. */
	readonly tell: (head: Envelope) => void;
}

/**
 * The first channel on every connection. Resolves once both sides have passed; nothing else may be opened before.
 * `onAdmitted` runs in the same turn, before any later frame of the other side is read.
 */
export function admit(
	mux: Protomux,
	me: Membership,
	onAdmitted: (member: Member) => void,
): Promise<Result<Member, AdmissionReason>> {
	return new Promise((resolve) => {
		let remote: Hello | undefined;
		let member: Member | undefined;
		let settled = false;
		const settle = (result: Result<Member, AdmissionReason>) => {
			if (settled) return;
			settled = true;
			clearTimeout(timer);
			resolve(result);
		};
		const timer = setTimeout(
			() => settle(bad("silent", `no certificate within ${PATIENCE} ms`)),
			PATIENCE,
		);
		const channel = mux.createChannel({
			protocol: PROTOCOL,
			onclose: () => settle(bad("gone", "the connection ended")),
		});
		if (channel === null) {
			settle(bad("gone", "the connection ended"));
			return;
		}
		const greeting: Message<Uint8Array> = channel.addMessage({
			encoding: c.raw,
			onmessage(bytes) {
				if (remote !== undefined) return;
				const checked = check(bytes, mux.stream, me);
				if (!checked.ok) {
					settle(checked);
					return;
				}
				remote = checked.value.hello;
				member = {
					...checked.value.member,
					tell: (head) => newsMessage.send(encodeMessage({ head })),
				};
				passed.send(Buffer.alloc(0));
			},
		});
		const passed: Message<Uint8Array> = channel.addMessage({
			encoding: c.raw,
			onmessage() {
				if (settled || member === undefined) return;
				onAdmitted(member);
				settle(good(member));
				if (remote?.head !== undefined) me.offerHead(remote.head);
			},
		});
		const newsMessage: Message<Uint8Array> = channel.addMessage({
			encoding: c.raw,
			onmessage(bytes) {
				if (!settled) return;
				const read = parseMessage(news, bytes, MAX_NEWS);
				if (read.ok) me.offerHead(read.value.head);
			},
		});
		channel.open();
		const head = me.currentHead();
		const tcp = me.tcp();
		greeting.send(
			encodeMessage({
				v: 1,
				certificate: me.certificate,
				...(head && { head }),
				...(tcp && { tcp }),
			} satisfies Hello),
		);
	});
}

function check(
	bytes: Uint8Array,
	stream: NoiseStream,
	me: Membership,
): Result<{ hello: Hello; member: Omit<Member, "tell"> }, AdmissionReason> {
	const read = parseMessage(hello, bytes, MAX_HELLO);
	if (!read.ok) return read;
	const opened = unsealParsed(
		read.value.certificate,
		"issuer",
		certificate,
		me.trust,
	);
	if (!opened.ok) return opened;
	const { box, network, region } = opened.value;
	if (network !== me.trust.network) return bad("wrong-network", network);
	if (stream.remotePublicKey.toString("hex") !== box) {
		return bad("key-mismatch", "the certificate is for another key");
	}
	if (region !== me.region) return bad("wrong-region", region);
	const dated = checkDates(opened.value, me.trust.now());
	if (!dated.ok) return dated;
	if (me.isRevoked(box)) return bad("revoked", box);
	const member = { box, certificate: opened.value, tcp: read.value.tcp };
	return good({ hello: read.value, member });
}
