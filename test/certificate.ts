import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** Paths of PEM files. */
export interface CertificateFiles {
	readonly certificate: string;
	readonly key: string;
}

/** A certificate for 127.0.0.1 that vouches for itself. Needs openssl. */
export async function selfSigned(dir: string): Promise<CertificateFiles> {
	const certificate = join(dir, "certificate.pem");
	const key = join(dir, "key.pem");
	await mkdir(dir, { recursive: true });
	await promisify(execFile)("openssl", [
		...["req", "-x509", "-newkey", "ec", "-pkeyopt"],
		...["ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"],
		...["-subj", "/CN=desk", "-addext", "subjectAltName=IP:127.0.0.1"],
		...["-keyout", key, "-out", certificate],
	]);
	return { certificate, key };
}
