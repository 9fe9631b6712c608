// What the host tells developers: the state of its bots, and each turn as it ends.

const POLL_MS = 1500;
const OPEN_MS_MAX = 3000;

/** Calls `onBots(bots)` whenever the state of a bot changed, and `onLost()` once where the host cannot be reached. */
export function watchBots(onBots, onLost) {
  let last = "";
  let timer;
  const look = async () => {
    try {
      const response = await fetch("/dev/bots", { cache: "no-store" });
      if (!response.ok) throw new Error(`the host answered ${response.status}`);
      const text = await response.text();
      if (text !== last) onBots(JSON.parse(text));
      last = text;
    } catch (error) {
      if (last !== null) onLost(error);
      last = null;
    }
    schedule();
  };
  const schedule = () => {
    clearTimeout(timer);
    // Nobody looks at a hidden page.
    if (!document.hidden) timer = setTimeout(look, POLL_MS);
  };
  document.addEventListener("visibilitychange", () => document.hidden || look());
  return look();
}

/** The turns of one bot. `onTurn(record)` is called as each ends. */
export class Turns {
  #source;

  /** Opens the feed and waits until it is open: turns that ended before are not in it. */
  async open(bot, onTurn) {
    this.close();
    const source = new EventSource(`/dev/turns?bot=${encodeURIComponent(bot)}`);
    this.#source = source;
    source.addEventListener("turn", ({ data }) => onTurn(JSON.parse(data)));
    await new Promise((resolve) => {
      // Without it one can still talk, so a feed that does not open holds nobody up.
      const timer = setTimeout(resolve, OPEN_MS_MAX);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      source.addEventListener("open", done, { once: true });
      source.addEventListener("error", done, { once: true });
    });
  }

  close() {
    this.#source?.close();
  }
}
