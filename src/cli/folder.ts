/** The option that names an operator's folder. */
export const DIR = [
	"-d, --dir <folder>",
	"the operator's folder",
	"operator",
] as const;
