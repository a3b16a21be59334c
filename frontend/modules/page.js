/**
 * What every page has: ages that tick, questions before heavy acts, and a sentence when a request failed.
 */

import { ageText } from "./times.js";

/** `<time datetime="…" data-age>`: the server prints the moment, here it becomes "12 s". */
function tickAges() {
  for (const time of /** @type {NodeListOf<HTMLTimeElement>} */ (document.querySelectorAll("time[data-age]"))) {
    const at = Date.parse(time.dateTime);
    if (!Number.isNaN(at)) {
      if (!time.title) {
        time.title = time.textContent?.trim() ?? "";
      }
      time.textContent = ageText(Date.now() - at);
    }
  }
}

/** The browser's own confirm box cannot be styled and blocks the page; ours is a dialog. */
function askBeforeHeavyActs() {
  const dialog = /** @type {HTMLDialogElement | null} */ (document.getElementById("confirm"));
  document.addEventListener("htmx:confirm", (happening) => {
    const { question, issueRequest } = /** @type {CustomEvent} */ (happening).detail;
    if (!question || !dialog) {
      return;
    }
    happening.preventDefault();
    const words = dialog.querySelector("[data-question]");
    if (words) {
      words.textContent = question;
    }
    dialog.returnValue = "";
    dialog.addEventListener("close", () => dialog.returnValue === "yes" && issueRequest(true), { once: true });
    dialog.showModal();
  });
}

function tellFailures() {
  document.addEventListener("htmx:responseError", (happening) => {
    const { xhr, requestConfig } = /** @type {CustomEvent} */ (happening).detail;
    // A fragment that could not be fetched is told by the live sign; an act that failed needs words.
    if (requestConfig.verb !== "get") {
      notice(detailOf(xhr.responseText) ?? `The server refused (${xhr.status}).`);
    }
  });
  document.addEventListener("htmx:sendError", (happening) => {
    if (/** @type {CustomEvent} */ (happening).detail.requestConfig.verb !== "get") {
      notice("The server cannot be reached. Nothing was changed.");
    }
  });
}

/** @param {string} text */
function detailOf(text) {
  try {
    return JSON.parse(text).detail ?? null;
  } catch {
    return null;
  }
}

/** @param {string} words */
function notice(words) {
  const item = document.createElement("li");
  item.className = "notice";
  item.dataset.tone = "error";
  item.textContent = words;
  document.getElementById("notices")?.append(item);
  window.setTimeout(() => item.remove(), 12_000);
}

/** `[data-refresh-after]` names the fragment that an act changes, for the case that the live link is down. */
function refreshAfterActs() {
  document.addEventListener("htmx:afterRequest", (happening) => {
    const { elt, successful, requestConfig } = /** @type {CustomEvent} */ (happening).detail;
    const wanted = elt instanceof HTMLElement ? elt.dataset.refreshAfter : undefined;
    if (successful && wanted && requestConfig.verb !== "get") {
      document.getElementById(wanted)?.dispatchEvent(new CustomEvent("live:refresh"));
    }
  });
}

tickAges();
window.setInterval(tickAges, 1_000);
// After the swap and not after its settling: no paint may show the bare moment in between.
document.addEventListener("htmx:afterSwap", tickAges);
askBeforeHeavyActs();
tellFailures();
refreshAfterActs();
