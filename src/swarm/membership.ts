import type { NoiseStream } from "@hyperswarm/secret-stream";
import c from "compact-encoding";
import type Protomux from "protomux";
import type { Message } from "protomux";
import { good, type Result } from "../base/result.ts";
import { SECOND } from "../base/time.ts";
import {
	type Envelope,
	type EnvelopeReason,
	type Trust,
	unsealParsed,
} from "../wire/envelope.ts";
import type { Head } from "../wire/head.ts";
import type { BoxId, Region } from "../wire/ids.ts";
import { encodeMessage, type ParseReason, parseMessage } from "../wire/json.ts";
import {
	type Certificate,
	certificate,
	type Hello,
	hello,
	news,
} from "../wire/membership.ts";
import type { Groups, Level } from "../wire/near.ts";
import { checkCertificate, type Denial } from "./credentials.ts";
import type { Transport } from "./guard.ts";
import { Nearness } from "./nearness.ts";

const PROTOCOL = "larder/membership/1";
const PATIENCE = 3 * SECOND;
const MAX_HELLO = 64 * 1024;
const MAX_NEWS = 4 * 1024 * 1024;

/** Why a connection was not let in. Stable: they are logged, counted and reported. */
export type AdmissionReason =
	| EnvelopeReason
	| ParseReason
	| Denial
	/** It shook no hands on TCP, or not in time. */
	| "handshake"
	/** It showed nothing in time. */
	| "silent"
	| "gone"
	/** It made room for others, see `crowd.ts`. */
	| "crowded"
	| "exiled"
	/** There are as many members as there may be, in all or of its address. */
	| "full"
	/** It came over TCP, and over Hyperswarm it is no neighbour. */
	| "no-neighbour";

/** What this side shows, and what it asks of the other. */
export interface Membership {
	readonly region: Region;
	readonly trust: Trust;
	/** A lease: it is asked for whenever it is shown. */
	readonly certificate: () => Envelope;
	/** The groups that this box is in; the same list as long as they are the same. */
	readonly near: () => Groups;
	readonly tcp: () => Hello["tcp"];
	readonly isRevoked: (box: BoxId) => boolean;
	/** The newest head, for the other side to know before anything else opens; undefined where there is none, or none is told. */
	readonly currentHead: () => Head | undefined;
	/** A neighbour passed on a head; it is checked, and in force on return if it is newer. */
	readonly offerHead: (head: Head) => void;
}

/** Somebody whose certificate passed, on a connection on which ours passed too. */
export interface Member {
	readonly box: BoxId;
	/** The newest that it has shown. */
	readonly certificate: Certificate;
	readonly tcp: Hello["tcp"];
	/** How near it is. */
	readonly level: Level;
	/** Passes a newer head on. */
	readonly tell: (head: Head) => void;
	/** Shows our certificate and groups once more: they are others. */
	readonly greet: () => void;
	/** Whether it would be let in now, and if not, why. */
	readonly check: () => AdmissionReason | undefined;
}

/** What the other side has shown, and what it says. */
interface Shown {
	readonly hello: Hello;
	readonly certificate: Certificate;
}

interface GuestPorts extends Pick<Member, "tell" | "greet"> {
	readonly nearness: Nearness;
	readonly check: (hello: Hello) => Result<unknown, AdmissionReason>;
}

/** A member, whose certificate may be followed by others on the same connection. */
class Guest implements Member {
	shown: Shown;
	private readonly ports: GuestPorts;

	constructor(shown: Shown, ports: GuestPorts) {
		this.shown = shown;
		this.ports = ports;
	}

	get box(): BoxId {
		return this.shown.certificate.box;
	}

	get certificate(): Certificate {
		return this.shown.certificate;
	}

	get tcp(): Hello["tcp"] {
		return this.shown.hello.tcp;
	}

	get level(): Level {
		return this.ports.nearness.level(this.shown.hello.near);
	}

	tell(head: Head): void {
		this.ports.tell(head);
	}

	greet(): void {
		this.ports.greet();
	}

	check(): AdmissionReason | undefined {
		const again = this.ports.check(this.shown.hello);
		return again.ok ? undefined : again.reason;
	}
}

/** How an admission goes. All run in the turn of the frame that decides, before any later frame of the other side is read. */
export interface Admitting {
	/**
	 * The other side's certificate passed. What it sends from now on comes from a member, unless there is a reason against it, or
	 * it has to wait until `welcome` is called: it hears of nothing before.
	 */
	readonly onProven: (
		welcome: () => void,
	) => AdmissionReason | "later" | undefined;
	/** Ours passed there too: other channels may be opened. */
	readonly onMember: (member: Member) => void;
	readonly onRefused: (reason: AdmissionReason, detail: string) => void;
}

/** Opens the first channel on a connection, and nothing else until both sides have passed. */
export function admit(
	mux: Protomux,
	transport: Transport,
	me: Membership,
	{ onProven, onMember, onRefused }: Admitting,
): void {
	const { publicKey, remotePublicKey } = mux.stream;
	const nearness = new Nearness(
		me.near,
		idOf(publicKey),
		idOf(remotePublicKey),
	);
	let state: "asking" | "admitted" | "refused" = "asking";
	let member: Guest | undefined;
	/** Whether it was told that it passed, and told us that we did. */
	let isWelcome = false;
	let isLetIn = false;
	const refuse = (reason: AdmissionReason, detail: string) => {
		if (state !== "asking") return;
		state = "refused";
		clearTimeout(timer);
		onRefused(reason, detail);
	};
	const timer = setTimeout(() => {
		if (member !== undefined && !isWelcome)
			refuse("no-neighbour", `nor was it within ${PATIENCE} ms`);
		else refuse("silent", `no certificate within ${PATIENCE} ms`);
	}, PATIENCE);
	const channel = mux.createChannel({
		protocol: PROTOCOL,
		// Without it the connection is of no use.
		onclose: () => {
			refuse("gone", "the other side ended it");
			mux.stream.destroy();
		},
	});
	if (channel === null) {
		refuse("gone", "it had ended already");
		return;
	}
	const greeting: Message<Uint8Array> = channel.addMessage({
		encoding: c.raw,
		onmessage(bytes) {
			if (state === "refused") return;
			const read = parseMessage(hello, bytes, MAX_HELLO);
			const checked = read.ok
				? check(read.value, mux.stream, transport, me)
				: read;
			if (member !== undefined) {
				// A lease that was renewed. One that is no good changes nothing.
				if (checked.ok) member.shown = checked.value;
				return;
			}
			if (!checked.ok) {
				refuse(checked.reason, checked.detail);
				return;
			}
			const reason = onProven(welcome);
			if (reason !== undefined && reason !== "later") {
				refuse(reason, "its certificate is good");
				return;
			}
			member = new Guest(checked.value, {
				tell: (head) => newsMessage.send(encodeMessage({ head })),
				greet,
				nearness,
				check: (hello) => check(hello, mux.stream, transport, me),
			});
			if (reason === undefined) welcome();
		},
	});
	const passed: Message<Uint8Array> = channel.addMessage({
		encoding: c.raw,
		onmessage() {
			if (member === undefined) return;
			isLetIn = true;
			enter();
		},
	});
	const newsMessage: Message<Uint8Array> = channel.addMessage({
		encoding: c.raw,
		onmessage(bytes) {
			if (state === "refused" || member === undefined) return;
			const read = parseMessage(news, bytes, MAX_NEWS);
			if (read.ok) me.offerHead(read.value.head);
		},
	});
	const welcome = () => {
		if (state !== "asking" || member === undefined || isWelcome) return;
		isWelcome = true;
		// Before it serves us anything, it is to know what is taken back and who is shut out.
		const head = me.currentHead();
		if (head !== undefined) member.tell(head);
		passed.send(Buffer.alloc(0));
		enter();
	};
	const enter = () => {
		if (state !== "asking" || member === undefined) return;
		if (!isWelcome || !isLetIn) return;
		if (me.isRevoked(member.box)) {
			refuse("revoked", "by the head that it brought");
			return;
		}
		state = "admitted";
		clearTimeout(timer);
		onMember(member);
	};
	const greet = () => {
		const tcp = me.tcp();
		const near = nearness.shown;
		greeting.send(
			encodeMessage({
				v: 1,
				certificate: me.certificate(),
				...(tcp && { tcp }),
				...(near && { near: [...near] }),
			} satisfies Hello),
		);
	};
	channel.open();
	greet();
}

/** Judges what the other side shows: first whether the operator signed it, then whether it is good for this connection. */
function check(
	hello: Hello,
	stream: NoiseStream,
	transport: Transport,
	me: Membership,
): Result<Shown, AdmissionReason> {
	const { tcp } = hello;
	const opened = unsealParsed(
		hello.certificate,
		"issuer",
		certificate,
		me.trust,
	);
	if (!opened.ok) return opened;
	const checked = checkCertificate(opened.value, {
		...{ transport, tcp, region: me.region, isRevoked: me.isRevoked },
		key: idOf(stream.remotePublicKey),
		network: me.trust.network,
		time: me.trust,
	});
	if (!checked.ok) return checked;
	return good({ hello, certificate: opened.value });
}

function idOf(key: Uint8Array): BoxId {
	return Buffer.from(key).toString("hex") as BoxId;
}
