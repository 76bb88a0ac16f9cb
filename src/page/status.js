// What the pages do beyond being read: they refresh themselves, and copy what is to be quoted.
// Without this file everything is there all the same.
"use strict";

const PERIOD = 5000;
const refreshed = document.getElementById("refreshed");
const pause = document.getElementById("pause");
let paused = false;
let turn = 0;

// Whoever marks text to copy it would lose the mark.
function isMarking() {
	const selection = document.getSelection();
	return selection !== null && !selection.isCollapsed;
}

// The same place in the new content, by what identifies it.
function sameIn(region, element) {
	const traits = ["id", "href", "data-copy"].filter((name) => element.hasAttribute(name));
	if (traits.length === 0) {
		return null;
	}
	const selector = traits.map((name) => `[${name}="${CSS.escape(element.getAttribute(name))}"]`).join("");
	return region.querySelector(selector);
}

function replace(fresh) {
	document.title = fresh.title;
	for (const old of document.querySelectorAll("[data-live]")) {
		const region = fresh.getElementById(old.id);
		if (region === null || region.innerHTML === old.dataset.seen) {
			continue;
		}
		const seen = region.innerHTML;
		const held = old.contains(document.activeElement) ? document.activeElement : null;
		const scrolled = old.querySelector(".scroll")?.scrollLeft ?? 0;
		reveal(region);
		old.replaceWith(region);
		region.dataset.seen = seen;
		const scroller = region.querySelector(".scroll");
		if (scroller !== null) {
			scroller.scrollLeft = scrolled;
		}
		if (held !== null) {
			sameIn(region, held)?.focus({ preventScroll: true });
		}
	}
}

function tell(text, stale) {
	refreshed.textContent = text;
	document.getElementById("refresh").classList.toggle("stale", stale);
}

// This page, without the name and password that an address may hold: with these it can't be fetched.
function here() {
	const url = new URL(location.href);
	url.username = "";
	url.password = "";
	return url;
}

// As all times of the page, in UTC.
function updated() {
	return `Updated ${new Date().toISOString().slice(11, 19)} UTC`;
}

async function refresh() {
	if (document.hidden) {
		return;
	}
	if (isMarking()) {
		tell("Not refreshed while text is marked", true);
		return;
	}
	// An answer that another one overtook is old.
	turn += 1;
	const mine = turn;
	try {
		const answer = await fetch(here(), { cache: "no-store", signal: AbortSignal.timeout(PERIOD * 2) });
		if (!answer.ok) {
			tell(`Not refreshed: the exporter answers with ${answer.status}. What you see is old.`, true);
			return;
		}
		const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
		// Much may have happened while it was fetched.
		if (!paused && !isMarking() && mine === turn) {
			replace(fresh);
			tell(updated(), false);
		}
	} catch {
		if (!paused) {
			tell("Not refreshed: the exporter can't be reached. What you see is old.", true);
		}
	}
}

async function keepFresh() {
	if (!paused) {
		await refresh();
	}
	setTimeout(keepFresh, PERIOD);
}

// Over plain HTTP browsers offer no clipboard, but the old command works.
async function copy(text) {
	if (navigator.clipboard !== undefined) {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			// Not allowed here: the other way.
		}
	}
	const field = document.createElement("textarea");
	field.value = text;
	field.className = "unseen";
	document.body.append(field);
	field.select();
	const copied = document.execCommand("copy");
	field.remove();
	return copied;
}

function reveal(within) {
	for (const button of within.querySelectorAll("button.copy")) {
		button.hidden = false;
	}
}

document.addEventListener("click", async (event) => {
	const button = event.target.closest("button.copy");
	if (button === null) {
		return;
	}
	const copied = await copy(button.dataset.copy);
	button.focus({ preventScroll: true });
	button.textContent = copied ? "Copied" : "Not copied";
	setTimeout(() => {
		button.textContent = "Copy";
	}, 2000);
});

pause.addEventListener("click", () => {
	paused = !paused;
	pause.setAttribute("aria-pressed", String(paused));
	pause.textContent = paused ? "Resume" : "Pause";
	tell(paused ? "Paused" : "", false);
});

document.addEventListener("visibilitychange", () => {
	if (!document.hidden && !paused) {
		refresh();
	}
});

reveal(document);
// A page that only says what is wrong has nothing to refresh.
if (document.querySelector("[data-live]") !== null) {
	document.getElementById("refresh").hidden = false;
	tell(updated(), false);
	setTimeout(keepFresh, PERIOD);
}
