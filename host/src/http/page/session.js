// What a reload of the page keeps: who the user is, and the conversation with each bot. It lasts as long as the tab.

const KEY = "turntable";

/** Returns the conversation with a bot that this tab had before: its id and token, or nothing. */
export function recall(bot) {
  const { id, token } = read().conversations?.[bot] ?? {};
  return typeof id === "string" && typeof token === "string" && id && token ? { id, token } : null;
}

/** Keeps the conversation with a bot, or forgets it where there is none. */
export function keep(bot, conversation) {
  const kept = read();
  write({ ...kept, conversations: { ...kept.conversations, [bot]: conversation ?? undefined } });
}

/** Returns the id of this tab's user, which `make` makes the first time. */
export function userId(make) {
  const kept = read();
  if (typeof kept.user === "string" && kept.user.startsWith("dl_")) return kept.user;
  const user = make();
  write({ ...kept, user });
  return user;
}

// A browser may refuse to keep anything; then each load of the page is a new conversation.
function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

function write(kept) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(kept));
  } catch {
    // As above.
  }
}
