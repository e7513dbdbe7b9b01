// Requests and the shapes of their answers (the contract is /openapi.json).

import { setClock } from "./clock.js";

/**
 * @typedef {{ key: string, label: string, chain_id: number | null, selector: string | null }} Chain
 * @typedef {{ chain: Chain, address: string | null, round: string | null, answer: string | null, price: string | null,
 *   updated_at: string | null, age_seconds: number | null, stale: boolean, paused: boolean, rounds_behind: number,
 *   drift_percent: string | null }} FeedPoint
 * @typedef {{ amount: string, token: string | null, symbol: string | null, text: string }} Fee
 * @typedef {{ feed: string, chain: Chain, round: string | null, reason: string, state: string, at: string,
 *   answer: string | null, price: string | null, previous_price: string | null, change_percent: string | null,
 *   tx: string | null, block: string | null, mined_at: string | null, fee: Fee | null, sources: number }} Update
 * @typedef {{ name: string, description: string, decimals: number, heartbeat_seconds: number | null,
 *   deviation_threshold_percent: string | null, source: FeedPoint, destinations: FeedPoint[],
 *   observation: { price: string, at: string, sources: number | null, deviation_percent: string | null } | null,
 *   last_update: Update | null, history: { at: string, price: string }[] }} Feed
 * @typedef {{ name: "sent" | "finalized" | "committed" | "executed",
 *   state: "done" | "current" | "waiting" | "failed" | "retracted",
 *   at: string | null, seconds: number | null, block: string | null, tx: string | null }} Stage
 * @typedef {{ id: string, protocol: string, version: string | null, lane: { source: Chain, destination: Chain },
 *   sequence: string | null, stage: string, state: "in_flight" | "succeeded" | "failed" | "retracted",
 *   sender: string | null, receiver: string | null, sent_at: string | null, updated_at: string,
 *   total_seconds: number | null, stages: Stage[], fee: Fee | null,
 *   failure: { kind: string, text: string, raw: string | null } | null,
 *   attempts: number, manual: boolean | null, callback: boolean | null, destination_watched: boolean, commits: boolean, verified: boolean, by_hand: boolean, late: boolean,
 *   feed: string | null, round: string | null }} Message
 * @typedef {{ kind: string, chain: Chain, block: string, block_hash: string,
 *   block_at: string | null, tx: string, log_index: number, retracted: boolean, details: Record<string, unknown> }} Sighting
 * @typedef {{ step: string, before: string | null, after: string, at: string | null, seen_at: string,
 *   chain: Chain | null, block: string | null, block_hash: string | null }} Transition
 * @typedef {Message & { sightings: Sighting[], transitions: Transition[], explanation: string[] }} MessageDetails
 * @typedef {{ status: "ok" | "degraded" | "down", detail: string, required: boolean }} Check
 * @typedef {{ chain: Chain, block: string | null, block_at: string | null, finalized: string | null, reorgs: number }} ChainState
 * @typedef {{ now: string, version: string, status: "ok" | "degraded" | "down", ready: boolean,
 *   checks: Record<string, Check>, chains: ChainState[], last_event: number, interop: boolean }} Status
 * @typedef {{ lane: { source: Chain, destination: Chain }, protocol: string, total: number }} LaneState
 * @typedef {{ who: string, why: string, at: string, until: string | null }} Acknowledgement
 * @typedef {{ id: number, kind: string, subject: string, group: string, severity: "info" | "warning" | "critical",
 *   state: "firing" | "acknowledged" | "silenced" | "folded" | "resolved", title: string, text: string, remedy: string, count: number,
 *   labels: Record<string, string>, since: string, opened_at: string, updated_at: string, resolved_at: string | null, returns: number,
 *   stale: boolean, folded_under: number | null, folded: number, acknowledged: Acknowledgement | null, silenced_by: number | null }} Alert
 * @typedef {{ at: string, action: string, who: string, text: string }} HistoryEntry
 * @typedef {{ id: number, receiver: string, event: "firing" | "repeated" | "escalated" | "resolved" | "test",
 *   state: "queued" | "sent" | "superseded" | "given_up", attempts: number, created_at: string, error: string }} NoticeSent
 * @typedef {Alert & { history: HistoryEntry[], notices: NoticeSent[] }} AlertDetails
 * @typedef {{ id: number, who: string, why: string, until: string }} Silence
 * @typedef {"unsafe" | "safe" | "finalized"} Level
 * @typedef {{ id: string, status: "unknown" | "valid" | "invalid" | "timestamp_mismatch" | "expired", rule: string, detail: string,
 *   executing: { chain: Chain, block: string, block_hash: string, block_at: string, tx: string, log_index: number, level: Level },
 *   initiating: { chain: Chain, block: string, log_index: number, timestamp: string, origin: string, payload: string,
 *     block_hash: string | null, level: Level },
 *   settled: boolean, stale: boolean, changed: boolean, boundary: boolean, declared: boolean | null, retracted: boolean,
 *   incident: number | null, seen_at: string, decided_at: string | null }} Executing
 * @typedef {{ at: string, step: string, rule: string, detail: string, block_hash: string | null }} Thought
 * @typedef {Executing & { history: Thought[] }} ExecutingDetails
 */

const TIMEOUT_MS = 15000;

/** An answer other than success; `message` is the human line of the problem document. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [how]
 * @returns {Promise<any>}
 */
async function get(path, how = {}) {
  const response = await fetch(path, { headers: { Accept: "application/json" }, ...how, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body = await response.json();
  if (!response.ok) throw new ApiError(response.status, body.detail ?? response.statusText);
  if (typeof body.now === "string") setClock(body.now);
  return body;
}

/** @returns {Promise<Status>} */
export const getStatus = () => get("/api/status");

/** @returns {Promise<{ now: string, items: Feed[] }>} */
export const getFeeds = () => get("/api/feeds");

/** @returns {Promise<{ items: Update[], next: string | null }>} */
export const getUpdates = () => get("/api/updates?limit=100");

/** @returns {Promise<{ items: LaneState[] }>} */
export const getLanes = () => get("/api/lanes");

/**
 * @param {URLSearchParams} query
 * @returns {Promise<{ now: string, items: Message[], next: string | null }>}
 */
export const getMessages = (query) => get(`/api/messages?${query}`);

/**
 * @param {string} id
 * @returns {Promise<MessageDetails>}
 */
export const getMessage = (id) => get(`/api/messages/${encodeURIComponent(id)}`);

/** Those that are open. @returns {Promise<{ items: Alert[], next: string | null }>} */
export const getAlerts = () => get("/api/alerts?limit=200");

/**
 * @param {string} id
 * @returns {Promise<AlertDetails>}
 */
export const getAlert = (id) => get(`/api/alerts/${id}`);

/** @returns {Promise<{ items: Silence[] }>} */
export const getSilences = () => get("/api/silences");

/**
 * Somebody has it.
 * @param {number} id
 * @param {string} who
 * @param {string} why
 * @param {number | null} seconds null: until it is over
 */
export const acknowledge = (id, who, why, seconds) =>
  get(`/api/alerts/${id}/acknowledgement`, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify({ who, why, seconds }),
  });

/**
 * Those that are over, newest first.
 * @param {string | null} cursor
 * @returns {Promise<{ items: Alert[], next: string | null }>}
 */
export const getPastAlerts = (cursor) => get(`/api/alerts?${new URLSearchParams({ state: "resolved", limit: "50", ...(cursor ? { cursor } : {}) })}`);

/**
 * Nobody is told of what matches for a while.
 * @param {string[]} matchers
 * @param {string} who
 * @param {string} why
 * @param {number} seconds
 */
export const silence = (matchers, who, why, seconds) =>
  get("/api/silences", {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify({ matchers, who, why, seconds }),
  });

/**
 * @param {number} id
 * @param {string} who
 */
export const endSilence = (id, who) => get(`/api/silences/${id}?${new URLSearchParams({ who })}`, { method: "DELETE" });

/**
 * Nobody has it after all.
 * @param {number} id
 * @param {string} who
 */
export const unacknowledge = (id, who) => get(`/api/alerts/${id}/acknowledgement?${new URLSearchParams({ who })}`, { method: "DELETE" });

/** Executing messages by verdict. @returns {Promise<{ totals: Record<string, number> }>} */
export const getExecutingCounts = () => get("/api/interop/counts");

/**
 * Those that are not valid, newest first.
 * @param {number} limit
 * @returns {Promise<{ items: Executing[], next: string | null }>}
 */
export const getExecuting = (limit) => {
  const query = new URLSearchParams({ limit: String(limit) });
  for (const status of ["invalid", "timestamp_mismatch", "expired"]) query.append("status", status);
  return get(`/api/interop/messages?${query}`);
};

/**
 * @param {string} id
 * @returns {Promise<ExecutingDetails>}
 */
export const getExecutingMessage = (id) => get(`/api/interop/messages/${id}`);
