/** systemd-notify 1.0.0: spawns the program of that name. Rejects with an Error when it cannot, with text when it fails. */
declare module "systemd-notify" {
	export default function notify(message: {
		readonly ready?: boolean;
		readonly status?: string;
	}): Promise<unknown>;
}
