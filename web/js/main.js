// Joins the live stream to what the page shows. Events only say what changed; the API says what it is now, so the page cannot
// drift from it. Changes of one moment are fetched together.

import { AlertSubject } from "./alert.js";
import { Alerts } from "./alerts.js";
import { getFeeds, getLanes, getStatus, getUpdates } from "./api.js";
import { onTick } from "./clock.js";
import { MessageSubject } from "./details.js";
import { announce, byId, setAttr, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { Feeds } from "./feeds.js";
import * as format from "./format.js";
import { Header } from "./header.js";
import { ExecutingSubject, Interop } from "./interop.js";
import { Messages } from "./messages.js";
import { PastSubject } from "./past.js";
import { Stream } from "./stream.js";
import { Updates } from "./updates.js";

const GATHER_MS = 120; // events of one block come within this time
const STATUS_EVERY_MS = 3000;
const FEEDS_EVERY_MS = 5000; // what the venues say changes without an event
const INTEROP_EVERY_MS = 10000; // valid messages make no events
const EVERYTHING_EVERY_MS = 60000; // history that a tracker catches up on makes no events
const RETRY_MS = 2000;
const MESSAGE_ID = /^0x[0-9a-f]{64}$/;

const header = new Header();
const feeds = new Feeds();
const messages = new Messages();
const updates = new Updates();
const alerts = new Alerts();
const interop = new Interop();
const details = new Drawer([new MessageSubject(), new PastSubject(), new AlertSubject(), new ExecutingSubject()]);

/** @type {Set<string>} */
const changed = new Set();
let pricesDirty = false;
let alertsDirty = false;
let interopDirty = false;
let gathering = 0;

const stream = new Stream({
  onStart(fresh) {
    if (fresh) void loadAll();
    else void details.load();
  },
  onEvent(event) {
    if (event.topic.startsWith("alert.")) alertsDirty = true;
    else if (event.topic.startsWith("message")) changed.add(event.key);
    else if (event.topic.startsWith("interop.")) interopDirty = true;
    else pricesDirty = true;
    gathering ||= setTimeout(flush, GATHER_MS);
  },
  onState: showConnection,
});

async function loadAll() {
  await attempt(async () => {
    await Promise.all([alerts.reload(), loadPrices(), messages.reload(), loadStatus().then(() => interop.reload()), loadLanes(), details.load()]);
  });
}

async function loadPrices() {
  const [{ items: shown }, { items: published }] = await Promise.all([getFeeds(), getUpdates()]);
  feeds.show(shown);
  updates.show(published);
}

async function loadStatus() {
  const status = await getStatus();
  header.show(status);
  interop.notice(status);
}

async function loadLanes() {
  messages.showLanes((await getLanes()).items);
}

async function flush() {
  gathering = 0;
  const ids = [...changed];
  changed.clear();
  const prices = pricesDirty || ids.length > 0; // a message that lands changes a remote price
  const alerted = alertsDirty;
  const executed = interopDirty;
  pricesDirty = alertsDirty = interopDirty = false;
  await attempt(async () => {
    const whole = ids.some((id) => !MESSAGE_ID.test(id));
    await Promise.all([
      ids.length ? (whole ? messages.reload() : messages.refresh(ids)) : null,
      ids.length ? details.refresh("message", ids) : null,
      alerted ? alerts.reload() : null,
      alerted ? details.refresh("alert", null) : null, // a silence has no alert's number
      alerted ? details.refresh("history", null) : null,
      executed ? interop.reload() : null,
      executed ? details.refresh("executing message", null) : null,
      prices ? loadPrices() : null,
      ids.length ? loadLanes() : null,
    ]);
  });
}

/**
 * Do something that needs the server; if it fails, everything is loaded anew a little later.
 * @param {() => Promise<void>} work
 */
async function attempt(work) {
  try {
    await work();
  } catch (error) {
    console.warn("could not read from the server:", error instanceof Error ? error.message : error);
    setTimeout(() => {
      if (stream.state === "live") void loadAll();
    }, RETRY_MS);
  }
}

/** @param {() => Promise<void>} work */
function whileLive(work) {
  return () => {
    if (stream.state === "live" && !document.hidden) void work().catch(() => undefined); // the next round tries again
  };
}

// --- connection ---

const BANNER_AFTER_MS = 1500; // a short break heals itself unnoticed
let bannerTimer = 0;

/** @param {import("./stream.js").StreamState} state */
function showConnection(state) {
  const words = { connecting: "Connecting", live: "Live", down: "Offline" };
  setAttr(byId("live"), "data-state", state);
  setText(/** @type {HTMLElement} */ (byId("live").querySelector(".live-word")), words[state]);
  clearTimeout(bannerTimer);
  if (state === "live") {
    if (!byId("banner").hidden) announce("Live again");
    byId("banner").hidden = true;
    document.body.classList.remove("is-stale");
  } else bannerTimer = setTimeout(showBanner, BANNER_AFTER_MS);
}

function showBanner() {
  byId("banner").hidden = false;
  document.body.classList.add("is-stale");
  announce("Connection lost. What is shown may be old.");
  tickBanner();
}

function tickBanner() {
  if (byId("banner").hidden) return;
  const heard = stream.heardAt;
  const text = heard
    ? `Not live: last heard from the server ${format.ago((Date.now() - heard) / 1000)}. Everything below is from then. Reconnecting…`
    : "The server does not answer. Trying again…";
  setText(byId("banner-text"), text);
}

byId("banner-retry").addEventListener("click", () => stream.retryNow());

onTick(() => {
  header.tick();
  alerts.tick();
  feeds.tick();
  messages.tick();
  interop.tick();
  updates.tick();
  details.tick();
  tickBanner();
});
setInterval(whileLive(loadStatus), STATUS_EVERY_MS);
setInterval(
  whileLive(async () => feeds.show((await getFeeds()).items)),
  FEEDS_EVERY_MS,
);
setInterval(whileLive(() => interop.reload()), INTEROP_EVERY_MS);
setInterval(whileLive(loadAll), EVERYTHING_EVERY_MS);
stream.start();
void details.follow();
