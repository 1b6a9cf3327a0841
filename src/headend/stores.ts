import { join } from "node:path";
import type { ServiceGroup } from "../base/group.ts";
import type { Log } from "../base/log.ts";
import { Watching } from "../gateway/watching.ts";
import { type CatalogWriter, openCatalogWriter } from "../logs/writer.ts";
import type { TitleId } from "../wire/ids.ts";
import { readMandate } from "../wire/mandate.ts";
import { Audit } from "./audit.ts";
import { HeadWriter } from "./control/heads.ts";
import { Entitlement } from "./entitlement/entitlement.ts";
import { Attests } from "./fleet/attests.ts";
import { type Database, openDatabase } from "./fleet/database.ts";
import { Fleet } from "./fleet/fleet.ts";
import { Purges } from "./fleet/purges.ts";
import { Qualities } from "./fleet/quality.ts";
import { Wishes } from "./fleet/wishes.ts";
import { readIssued } from "./operator/issue.ts";
import { lockOperator } from "./operator/lock.ts";
import type { Operator } from "./operator/operator.ts";
import { TitleShelf } from "./publish/shelf.ts";

/** All that a headend keeps in the operator's folder, open and for nobody else. */
export interface Stores {
	readonly operator: Operator;
	readonly database: Database;
	readonly audit: Audit;
	readonly entitlement: Entitlement;
	readonly fleet: Fleet;
	readonly wishes: Wishes;
	readonly qualities: Qualities;
	/** The same for Prometheus, since the headend started. */
	readonly watching: Watching;
	readonly purges: Purges;
	readonly attests: Attests;
	readonly shelf: TitleShelf;
	readonly catalog: CatalogWriter;
	readonly heads: HeadWriter;
}

/** Opens it, each part to be closed with the group. Throws OPERATOR_BUSY, OPERATOR_INVALID, CONFIG_INVALID or STORE_UNUSABLE. */
export async function openStores(
	operator: Operator,
	parts: ServiceGroup,
	log: Log,
): Promise<Stores> {
	const { dir, region, epoch } = operator;
	parts.add("lock", await lockOperator(dir));
	const database = parts.add("database", await openDatabase(join(dir, "db")));
	const audit = parts.add("audit", await Audit.open(database, log));
	const entitlement = parts.add(
		"entitlement",
		await Entitlement.open(operator, database, log),
	);
	const issued = (box: Parameters<typeof readIssued>[1]) =>
		readIssued(dir, box);
	const fleet = parts.add("fleet", new Fleet({ database, issued, log }));
	const shelf = parts.add("titles", await TitleShelf.open(dir, log));
	const watching = new Watching();
	const qualities = new Qualities({
		...{ database, region, log },
		isTitle: (title) =>
			shelf.titles.some(({ id, kind }) => id === title && kind === "title"),
		onEntry: (figures) => watching.note(figures),
	});
	parts.add("qualities", qualities);
	const catalogDir = join(dir, "catalog");
	const catalog = parts.add(
		"catalog",
		await openCatalogWriter(catalogDir, { epoch }),
	);
	return {
		operator,
		database,
		audit,
		entitlement,
		fleet,
		wishes: new Wishes(database, region),
		purges: await Purges.open({
			database,
			vouched: () => vouchedBy(operator),
		}),
		attests: new Attests({ database, issued }),
		...{ shelf, qualities, watching },
		catalog,
		heads: await HeadWriter.open(operator, log),
	};
}

/** The titles of which the root itself says that they are taken back. */
function vouchedBy({
	mandate,
	trust,
}: Pick<Operator, "mandate" | "trust">): ReadonlySet<TitleId> {
	const read = mandate && readMandate(mandate, trust);
	return new Set(read?.ok ? read.value.purged : []);
}
