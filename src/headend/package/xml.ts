import { XMLParser, XMLValidator } from "fast-xml-parser";
import { bad, good, type Result } from "../../base/result.ts";

/** An element of an XML document. Namespace prefixes are left out. */
export interface Element {
	attribute(name: string): string | undefined;
	children(name: string): Element[];
	/** Its own text, trimmed. */
	readonly text: string;
}

const TEXT = "#text";
const parser = new XMLParser({
	ignoreAttributes: false,
	attributeNamePrefix: "@",
	removeNSPrefix: true,
	parseAttributeValue: false,
	parseTagValue: false,
	alwaysCreateTextNode: true,
	textNodeName: TEXT,
	isArray: (_name, _path, _leaf, isAttribute) => !isAttribute,
});

/** Reads a document whose outermost element is `root`. */
export function readXml(
	text: string,
	root: string,
): Result<Element, "not-xml" | "wrong-root"> {
	const valid = XMLValidator.validate(text);
	if (valid !== true)
		return bad("not-xml", `line ${valid.err.line}: ${valid.err.msg}`);
	let document: unknown;
	try {
		document = parser.parse(text);
	} catch (error) {
		return bad(
			"not-xml",
			error instanceof Error ? error.message : String(error),
		);
	}
	const [element] = wrap(document).children(root);
	return element === undefined
		? bad("wrong-root", `it has no ${root} element`)
		: good(element);
}

function wrap(node: unknown): Element {
	const property = (name: string): unknown =>
		typeof node === "object" && node !== null
			? Reflect.get(node, name)
			: undefined;
	return {
		attribute(name) {
			const value = property(`@${name}`);
			return typeof value === "string" ? value : undefined;
		},
		children(name) {
			const value = property(name);
			return Array.isArray(value) ? value.map(wrap) : [];
		},
		get text() {
			const value = property(TEXT);
			return typeof value === "string" ? value.trim() : "";
		},
	};
}
