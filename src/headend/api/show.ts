import type { Bytes } from "../../base/units.ts";
import { shardCount } from "../../content/geometry.ts";
import type { CatalogEntry } from "../../wire/catalog.ts";
import type { NetworkId, Region } from "../../wire/ids.ts";
import type { Forgery } from "../control/forgeries.ts";
import type { Enrolment, EnrolmentView } from "../enrol/enrolment.ts";
import type { Database } from "../fleet/database.ts";
import { type OldPapers, oldPapers } from "../fleet/inforce.ts";
import {
	type RegionView,
	regions,
	type TitleFill,
	titleFills,
} from "../fleet/views.ts";
import { type Serials, serialsOf } from "../operator/keyring.ts";
import type { Operator } from "../operator/operator.ts";
import type { OriginServer } from "../origin.ts";
import { entryOf, geometryOf, type TitleRecord } from "../publish/titles.ts";

/** How things stand at the broker. */
export interface BrokerView {
	readonly connected: boolean;
	readonly trouble?: string | undefined;
}

/** Where the API looks. */
export interface Sources {
	readonly operator: Operator;
	readonly database: Database;
	/** The published titles. */
	readonly titles: () => readonly TitleRecord[];
	readonly broker: () => BrokerView;
	readonly enrolment: Pick<Enrolment, "view">;
	/** Who else signs with our keys, as far as it was heard. */
	readonly forgery: () => Forgery | undefined;
	/** The origin, when the headend serves it itself. */
	readonly origin: Pick<OriginServer, "bytesSent" | "bytesByTitle"> | undefined;
}

export interface OverviewView {
	readonly id: NetworkId;
	readonly region: Region;
	readonly epoch: number;
	readonly copies: number;
	readonly broker: BrokerView;
	/** What the origin has sent since the headend started; null when another server is the origin. */
	readonly origin: { readonly bytesSent: Bytes } | null;
	readonly regions: readonly RegionView[];
	/** Copies of shards that found no box at the last plan. */
	readonly missing: number;
	/** Requests that were turned away since the headend started. */
	readonly refused: number;
	readonly enrol: EnrolmentView;
	/** Somebody else signs bans with a key of ours. */
	readonly forgery: Forgery | null;
}

export interface TitleView extends CatalogEntry, Omit<TitleFill, "title"> {
	readonly shards: number;
	readonly publishedAt: number;
	/** As in the overview. */
	readonly sentByOrigin: Bytes | null;
}

/** Which keys the headend signs with, and what is in force under those before them. */
export interface KeysView {
	readonly serials: Serials;
	readonly old: OldPapers;
	/** Somebody else signs bans with a key of ours. */
	readonly forgery: Forgery | null;
}

export async function keys({
	operator,
	database,
	forgery,
}: Pick<Sources, "operator" | "database" | "forgery">): Promise<KeysView> {
	return {
		serials: serialsOf(operator.signers),
		old: await oldPapers(operator, database),
		forgery: forgery() ?? null,
	};
}

export async function overview(
	{ operator, database, broker, origin, enrolment, forgery }: Sources,
	missing: number,
	refused: number,
): Promise<OverviewView> {
	return {
		id: operator.network,
		region: operator.region,
		epoch: operator.epoch,
		copies: operator.config.copies,
		broker: broker(),
		origin: origin === undefined ? null : { bytesSent: origin.bytesSent },
		regions: await regions(database),
		missing,
		refused,
		enrol: await enrolment.view(),
		forgery: forgery() ?? null,
	};
}

export async function titles(sources: Sources): Promise<TitleView[]> {
	const { origin } = sources;
	const rows = await titleFills(sources.database);
	const fills = new Map(rows.map(({ title, ...fill }) => [title, fill]));
	const none = { boxes: 0, fewest: 0, placed: 0, held: 0, short: 0 };
	return sources.titles().map((record) => ({
		...entryOf(record),
		...(fills.get(record.id) ?? none),
		publishedAt: record.publishedAt,
		shards: shardCount(geometryOf(record)),
		sentByOrigin: origin ? (origin.bytesByTitle.get(record.id) ?? 0) : null,
	}));
}
