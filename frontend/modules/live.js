/**
 * The page's one websocket. Every message becomes a DOM event `live:<kind>` on document, and every fragment that
 * names the kind in `data-live` gets `live:refresh`, on which htmx fetches it again.
 *
 * A fragment: `<section id="board" data-live="part case" hx-get="…" hx-trigger="live:refresh"
 * hx-select="#board" hx-swap="outerHTML">`.
 */

import { SILENCE_MS, backoffMs, parse, receive } from "./live_protocol.js";

/** @typedef {import("./live_protocol.js").Cursor} Cursor */
/** @typedef {import("./live_protocol.js").LiveMessage} LiveMessage */
/** @typedef {"online" | "connecting" | "reconnecting"} Connection */

/** A fragment is fetched at most once in this time, however fast the line runs. */
const REFRESH_GAP_MS = 700;
const ASK_GAP_MS = 1_000;

/** @type {Record<Connection, string>} */
const WORDS = { online: "Live", connecting: "Connecting", reconnecting: "Reconnecting" };

class LiveFeed {
  #url;
  /** @type {Cursor} */
  #cursor;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  #askedAt = 0;
  #silence = 0;
  #retry = 0;

  /**
   * @param {string} url
   * @param {number | null} since number of the last message that the page as rendered already shows
   */
  constructor(url, since) {
    this.#url = url;
    this.#cursor = { seen: since, asked: null };
  }

  open() {
    clearTimeout(this.#retry);
    this.#socket?.close();
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#expectSound();
    socket.addEventListener("open", () => this.#opened());
    socket.addEventListener("message", (event) => this.#heard(String(event.data)));
    socket.addEventListener("close", () => {
      if (socket === this.#socket) {
        this.#lost();
      }
    });
  }

  close() {
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  #opened() {
    this.#attempt = 0;
    showConnection("online");
    if (this.#cursor.seen !== null) {
      this.#ask(this.#cursor.seen, true);
    }
  }

  #lost() {
    clearTimeout(this.#silence);
    this.#socket = null;
    showConnection("reconnecting");
    clearTimeout(this.#retry);
    this.#retry = window.setTimeout(() => this.open(), backoffMs(this.#attempt));
    this.#attempt += 1;
  }

  /** A socket may stay open and say nothing for ever; only the heartbeat proves the link. */
  #expectSound() {
    clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => {
      const silent = this.#socket;
      this.#lost();
      silent?.close();
    }, SILENCE_MS);
  }

  /** @param {string} text */
  #heard(text) {
    this.#expectSound();
    const message = parse(text);
    if (!message) {
      return;
    }
    const { cursor, deliver, askSince, reload } = receive(this.#cursor, message);
    this.#cursor = cursor;
    if (deliver) {
      ring(message);
    }
    if (askSince !== null) {
      this.#ask(askSince, false);
    }
    if (reload) {
      refreshAll();
    }
  }

  /**
   * @param {number} since
   * @param {boolean} atOnce
   */
  #ask(since, atOnce) {
    if (!atOnce && Date.now() - this.#askedAt < ASK_GAP_MS) {
      return;
    }
    this.#askedAt = Date.now();
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify({ since }));
    }
  }
}

/** @param {LiveMessage} message */
function ring(message) {
  document.dispatchEvent(new CustomEvent(`live:${message.kind}`, { detail: message }));
  for (const fragment of document.querySelectorAll(`[data-live~="${CSS.escape(message.kind)}"]`)) {
    refreshSoon(fragment);
  }
}

function refreshAll() {
  document.dispatchEvent(new CustomEvent("live:resync"));
  for (const fragment of document.querySelectorAll("[data-live]")) {
    refreshSoon(fragment);
  }
}

/** Keyed by id: a swap replaces the element, and its successor must keep the pace. @type {Map<string, number>} */
const refreshedAt = new Map();
/** @type {Set<string>} */
const refreshPlanned = new Set();

/** @param {Element} fragment */
function refreshSoon(fragment) {
  const { id } = fragment;
  if (refreshPlanned.has(id)) {
    return;
  }
  refreshPlanned.add(id);
  const wait = Math.max(0, (refreshedAt.get(id) ?? 0) + REFRESH_GAP_MS - Date.now());
  window.setTimeout(() => {
    refreshPlanned.delete(id);
    refreshedAt.set(id, Date.now());
    document.getElementById(id)?.dispatchEvent(new CustomEvent("live:refresh"));
  }, wait);
}

/** @param {Connection} connection */
function showConnection(connection) {
  document.documentElement.dataset.connection = connection;
  const sign = document.getElementById("live-state");
  if (sign) {
    sign.dataset.connection = connection;
    const words = sign.querySelector("[data-live-words]");
    if (words) {
      words.textContent = WORDS[connection];
    }
  }
  document.dispatchEvent(new CustomEvent("live:connection", { detail: connection }));
}

function start() {
  const path = document.body.dataset.liveUrl;
  if (!path) {
    return;
  }
  const url = new URL(path, window.location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const since = document.body.dataset.liveSeq;
  const feed = new LiveFeed(url.href, since ? Number(since) : null);
  showConnection("connecting");
  feed.open();
  window.addEventListener("online", () => feed.open());
  window.addEventListener("pagehide", () => feed.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      feed.open();
    }
  });
}

// htmx hears of `live:refresh` from here on; a heartbeat that comes while modules still load would ring nobody, and a
// page that was rendered just before an event would never show it.
if (document.readyState === "complete") {
  start();
} else {
  document.addEventListener("DOMContentLoaded", start);
}
