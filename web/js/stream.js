// Live events over fetch. EventSource would do the parsing, but it hides comments (the sign of life) and gives up for good on
// some errors; here the page knows when it last heard anything and can say so.

const QUIET_MS = 40000; // the server sends something at least every 15 s
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8000;

/**
 * @typedef {{ id: number, topic: string, key: string, at: string, payload: Record<string, unknown> }} LiveEvent
 * @typedef {"connecting" | "live" | "down"} StreamState
 * @typedef {{ onEvent: (event: LiveEvent) => void, onStart: (fresh: boolean) => void, onState: (state: StreamState) => void }} Handlers
 */

/** Follows /api/events for as long as the page is open and resumes after the last event it has seen. */
export class Stream {
  /** @param {Handlers} handlers `onStart(true)`: load everything; `onStart(false)`: resumed, nothing was missed. */
  constructor(handlers) {
    this.handlers = handlers;
    /** @type {string | null} */
    this.lastId = null;
    this.heardAt = 0;
    /** @type {StreamState} */
    this.state = "connecting";
    /** @type {AbortController | null} */
    this.controller = null;
    /** @type {(() => void) | null} */
    this.wake = null;
  }

  start() {
    void this.run();
    setInterval(() => {
      if (this.state === "live" && Date.now() - this.heardAt > QUIET_MS) this.controller?.abort();
    }, 5000);
    addEventListener("online", () => this.retryNow());
    addEventListener("offline", () => this.controller?.abort());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  /** Skip the pause before the next attempt. */
  retryNow() {
    this.wake?.();
  }

  async run() {
    let pause = FIRST_PAUSE_MS;
    for (;;) {
      const connected = await this.connectOnce();
      this.setState("down");
      pause = connected ? FIRST_PAUSE_MS : Math.min(pause * 2, LONGEST_PAUSE_MS);
      await this.sleep(pause * (0.8 + Math.random() * 0.4));
    }
  }

  /** @returns {Promise<boolean>} whether the stream ever got going */
  async connectOnce() {
    this.controller = new AbortController();
    let connected = false;
    try {
      /** @type {Record<string, string>} */
      const headers = { Accept: "text/event-stream" };
      if (this.lastId !== null) headers["Last-Event-ID"] = this.lastId;
      const response = await fetch("/api/events", { headers, signal: this.controller.signal, cache: "no-store" });
      if (!response.ok || !response.body) return false;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return connected;
        this.heardAt = Date.now();
        const blocks = (rest + value).split("\n\n");
        rest = blocks.pop() ?? "";
        for (const block of blocks) connected = this.take(block) || connected;
      }
    } catch {
      return connected; // refused, reset, aborted: all the same to the page, which shows that it is not live
    }
  }

  /**
   * One block of the stream.
   * @param {string} block
   * @returns {boolean} whether the server said hello
   */
  take(block) {
    let name = "";
    let data = "";
    for (const line of block.split("\n")) {
      if (line.startsWith("id: ")) this.lastId = line.slice(4);
      else if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data = line.slice(6);
    }
    if (name === "reset") this.known = false;
    else if (name === "hello") {
      this.setState("live");
      this.handlers.onStart(!this.known);
      this.known = true;
      return true;
    } else if (data) this.handlers.onEvent(JSON.parse(data));
    return false;
  }

  known = false;

  /** @param {StreamState} state */
  setState(state) {
    if (state !== this.state) {
      this.state = state;
      this.handlers.onState(state);
    }
  }

  /** @param {number} ms */
  sleep(ms) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
  }
}
