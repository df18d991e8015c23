// SPDX-License-Identifier: Apache-2.0
// Watching server-sent events that say when something is worth reading again, and asking regularly when they cannot be
// had. One connection at a time, none while the page is hidden: browsers allow six to a server.

const POLL_MS = 7_000; // how often to ask without a stream
const AGAIN_MS = 30_000; // until a stream that was refused is tried again
const QUIET_MS = 5_000; // an interruption shorter than this is not worth a word: the server ends each stream in time

export type StreamState = "connecting" | "live" | "reconnecting";

export interface StreamListener {
  onState: (state: StreamState) => void;
  /** Something may have changed. */
  onChange: () => void;
  /** What was watched exists no more; nothing is watched from here on. */
  onGone: () => void;
}

/** Watches until the function that it returns is called. `changed` is the event's name besides `ready` and `gone`. */
export function watchStream(address: string, changed: string, listener: StreamListener): () => void {
  let source: EventSource | undefined;
  let quiet: number | undefined;
  let poll: number | undefined;
  let again: number | undefined;

  function close() {
    source?.close();
    source = undefined;
    clearAll();
  }

  function clearAll() {
    clearTimeout(quiet);
    clearInterval(poll);
    clearTimeout(again);
    quiet = poll = again = undefined;
  }

  function fallBack() {
    listener.onState("reconnecting");
    poll ??= window.setInterval(listener.onChange, POLL_MS);
  }

  function open() {
    source?.close();
    const current = new EventSource(address);
    source = current;
    current.addEventListener("ready", () => {
      clearAll();
      listener.onState("live");
      listener.onChange(); // what changed since the list was read was told to nobody
    });
    current.addEventListener(changed, listener.onChange);
    current.addEventListener("gone", () => {
      stop();
      listener.onGone();
    });
    current.addEventListener("error", () => {
      if (current.readyState !== EventSource.CLOSED) {
        quiet ??= window.setTimeout(fallBack, QUIET_MS); // the browser tries by itself
        return;
      }
      if (poll === undefined) listener.onChange(); // the answer says why: a session that ended, a policy that is gone
      fallBack();
      clearTimeout(again);
      again = window.setTimeout(open, AGAIN_MS);
    });
  }

  function onVisibility() {
    if (document.hidden) close();
    else if (!source) open();
  }

  function stop() {
    document.removeEventListener("visibilitychange", onVisibility);
    close();
  }

  document.addEventListener("visibilitychange", onVisibility);
  onVisibility();
  return stop;
}

/** Runs `read` when called; called while it runs, once more afterwards: the last change is never missed. */
export function oneAtATime(read: () => Promise<unknown>): () => void {
  let isRunning = false;
  let isWanted = false;
  async function run() {
    isRunning = true;
    while (isWanted) {
      isWanted = false;
      await read();
    }
    isRunning = false;
  }
  return () => {
    isWanted = true;
    if (!isRunning) void run();
  };
}
