/**
 * Arrow keys and a TV's remote control. Up and down walk the titles; left and right change between titles and player,
 * and wind inside the player; OK presses what is in focus; Back leaves the full screen.
 */
export function onRemote({
	list,
	stage,
	seek,
	toggle,
	skip,
	toggleFullscreen,
}) {
	const cards = () => [...list.querySelectorAll("button")];
	const buttons = () => [
		...stage.querySelectorAll("#controls button:not([hidden]):not(:disabled)"),
	];
	const toTitles = () => {
		const all = cards();
		const card = all.find((button) => button.ariaCurrent === "true") ?? all[0];
		card?.focus();
		card?.scrollIntoView({ block: "nearest" });
	};
	const step = (all, by) => {
		const next = all[all.indexOf(document.activeElement) + by];
		next?.focus();
		next?.scrollIntoView({ block: "nearest" });
		return next !== undefined;
	};
	const toPlayer = () => {
		const retry = stage.querySelector("#retry:not([hidden])");
		(retry ?? (seek.disabled ? undefined : seek))?.focus();
	};

	const inTitles = {
		ArrowUp: () => step(cards(), -1),
		ArrowDown: () => step(cards(), 1),
		ArrowLeft: toPlayer,
		Home: () => cards()[0]?.focus(),
		End: () => cards().at(-1)?.focus(),
	};
	const onSeek = {
		ArrowLeft: () => skip(-10),
		ArrowRight: () => skip(10),
		ArrowUp: toTitles,
		ArrowDown: () => buttons()[0]?.focus(),
		Enter: toggle,
		" ": toggle,
	};
	const onButton = {
		ArrowLeft: () => step(buttons(), -1),
		ArrowRight: () =>
			step(buttons(), 1) || document.fullscreenElement || toTitles(),
		ArrowUp: toPlayer,
		ArrowDown: toTitles,
	};
	const anywhere = {
		f: toggleFullscreen,
		k: toggle,
		MediaPlayPause: toggle,
		MediaPlay: toggle,
		MediaPause: toggle,
		MediaFastForward: () => skip(30),
		MediaRewind: () => skip(-30),
		GoBack: () => document.fullscreenElement && toggleFullscreen(),
		BrowserBack: () => document.fullscreenElement && toggleFullscreen(),
	};
	const here = () => {
		const { activeElement } = document;
		if (activeElement === seek) return onSeek;
		if (stage.contains(activeElement)) return onButton;
		if (list.contains(activeElement)) return inTitles;
		return {
			ArrowDown: toTitles,
			ArrowUp: toTitles,
			ArrowRight: toTitles,
			ArrowLeft: toPlayer,
		};
	};

	addEventListener("keydown", (event) => {
		if (event.ctrlKey || event.altKey || event.metaKey) return;
		const act = here()[event.key] ?? anywhere[event.key];
		if (act === undefined) return;
		event.preventDefault();
		act();
	});
}
