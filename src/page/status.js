// Refreshes the pages, shows times in the reader's zone, and copies request IDs. The pages show all data without this
// file, with times in UTC.
"use strict";

const PERIOD = 5000;
const TEXTS = {
	en: {
		locale: "en-GB",
		dates: "en-CA",
		updated: "Updated",
		selecting: "Not refreshed while text is selected",
		refused: "Not refreshed: this page is out of date. The exporter responds with status",
		unreachable: "Not refreshed: the exporter can't be reached. This page is out of date.",
		copy: "Copy",
		copied: "Copied",
		notCopied: "Not copied",
		pause: "Pause",
		paused: "Paused",
		resume: "Resume",
	},
	fr: {
		locale: "fr-FR",
		dates: "fr-FR",
		updated: "Mis à jour à",
		selecting: "Pas d'actualisation tant que du texte est sélectionné",
		refused: "Pas d'actualisation\u00a0: cette page n'est plus à jour. L'exporteur répond avec le statut",
		unreachable: "Pas d'actualisation\u00a0: l'exporteur est injoignable. Cette page n'est plus à jour.",
		copy: "Copier",
		copied: "Copié",
		notCopied: "Non copié",
		pause: "Pause",
		paused: "En pause",
		resume: "Reprendre",
	},
};
const texts = TEXTS[document.documentElement.lang] ?? TEXTS.en;
const refreshed = document.getElementById("refreshed");
const pause = document.getElementById("pause");
let paused = false;
let requests = 0;

// A refresh would remove the user's selection.
function isSelecting() {
	const selection = document.getSelection();
	return selection !== null && !selection.isCollapsed;
}

// A fold that the exporter opens or closes, because the API went down or up. Between two changes, it stays as the user
// left it.
function fold(fresh) {
	for (const details of document.querySelectorAll("details[id]")) {
		const now = fresh.getElementById(details.id)?.open;
		if (now !== undefined && String(now) !== details.dataset.served) {
			details.dataset.served = String(now);
			details.open = now;
		}
	}
}

// Shows a time in the reader's zone, with UTC beside it.
function localize(within) {
	for (const time of within.querySelectorAll("time.clock")) {
		const moment = new Date(time.dateTime);
		if (Number.isNaN(moment.getTime()) || moment.getTimezoneOffset() === 0) {
			continue;
		}
		const isToday = moment.toDateString() === new Date().toDateString();
		const day = isToday ? "" : `${moment.toLocaleDateString(texts.dates)} `;
		const clock = moment.toLocaleTimeString(texts.locale, { hour: "2-digit", minute: "2-digit" });
		time.textContent = `${day}${clock} (${moment.toISOString().slice(11, 16)} UTC)`;
	}
}

// The element of the new content that has the same identifying attributes.
function sameIn(region, element) {
	const traits = ["id", "href", "data-copy", "data-of"].filter((name) => element.hasAttribute(name));
	if (traits.length === 0) {
		return null;
	}
	const selector = traits.map((name) => `[${name}="${CSS.escape(element.getAttribute(name))}"]`).join("");
	return region.querySelector(selector);
}

// What the reader has unfolded in a list stays unfolded.
function unfold(region, old) {
	for (const summary of old.querySelectorAll("details[open] > summary[data-of]")) {
		sameIn(region, summary)?.parentElement.setAttribute("open", "");
	}
}

function replace(fresh) {
	document.title = fresh.title;
	fold(fresh);
	for (const old of document.querySelectorAll("[data-live]")) {
		const region = fresh.getElementById(old.id);
		if (region === null || region.innerHTML === old.dataset.seen) {
			continue;
		}
		const seen = region.innerHTML;
		const held = old.contains(document.activeElement) ? document.activeElement : null;
		const scrolled = old.querySelector(".scroll")?.scrollLeft ?? 0;
		unfold(region, old);
		reveal(region);
		localize(region);
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

function showStatus(text, stale) {
	refreshed.textContent = text;
	document.getElementById("refresh").classList.toggle("stale", stale);
}

// The address of this page without user name and password: fetch() refuses an address that has them.
function pageUrl() {
	const url = new URL(location.href);
	url.username = "";
	url.password = "";
	return url;
}

// In the reader's zone.
function updated() {
	return `${texts.updated} ${new Date().toLocaleTimeString(texts.locale)}`;
}

async function refresh() {
	if (document.hidden) {
		return;
	}
	if (isSelecting()) {
		showStatus(texts.selecting, true);
		return;
	}
	// A response is outdated if a later request was sent.
	requests += 1;
	const request = requests;
	try {
		const response = await fetch(pageUrl(), { cache: "no-store", signal: AbortSignal.timeout(PERIOD * 2) });
		if (!response.ok) {
			showStatus(`${texts.refused} ${response.status}.`, true);
			return;
		}
		const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
		// The user may have paused or selected text in the meantime.
		if (!paused && !isSelecting() && request === requests) {
			replace(fresh);
			showStatus(updated(), false);
		}
	} catch {
		if (!paused) {
			showStatus(texts.unreachable, true);
		}
	}
}

async function keepFresh() {
	if (!paused) {
		await refresh();
	}
	setTimeout(keepFresh, PERIOD);
}

// Over plain HTTP browsers offer no clipboard API, but the older command works.
async function copy(text) {
	if (navigator.clipboard !== undefined) {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			// Not allowed here. Use the older command.
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
	button.textContent = copied ? texts.copied : texts.notCopied;
	setTimeout(() => {
		button.textContent = texts.copy;
	}, 2000);
});

pause.addEventListener("click", () => {
	paused = !paused;
	pause.setAttribute("aria-pressed", String(paused));
	pause.textContent = paused ? texts.resume : texts.pause;
	showStatus(paused ? texts.paused : "", false);
});

document.addEventListener("visibilitychange", () => {
	if (!document.hidden && !paused) {
		refresh();
	}
});

reveal(document);
localize(document);
for (const details of document.querySelectorAll("details[id]")) {
	details.dataset.served = String(details.open);
}
// A page with only an error message has nothing to refresh.
if (document.querySelector("[data-live]") !== null) {
	document.getElementById("refresh").hidden = false;
	showStatus(updated(), false);
	setTimeout(keepFresh, PERIOD);
}
