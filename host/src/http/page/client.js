// One conversation over Direct Line: start, send, hear, come back when the connection breaks.

const BASE = "/v3/directline";
const RETRY_MS_MAX = 10_000;
const REFRESH_MS = 15 * 60_000;

/** What the host refused, with the code of its answer. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Returns 128 random bits as text. (`randomUUID` is there over HTTPS and on localhost only, not for a phone nearby.) */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A conversation with a bot.
 *
 * `onActivity(activity)` is called for each activity, again where it changed; `onState(state)` with `connecting`, `online`,
 * `offline` (it goes on trying), `ended` or `elsewhere` (another tab has it now); `onKept({ id, token } | null)` with what
 * `resume` needs later.
 */
export class Conversation {
  #token;
  #socket;
  /** None: from the beginning, so that what was said before a reload is shown again. */
  #watermark = "";
  #closed = false;
  #failures = 0;
  #retry;
  #refresh;

  constructor(bot, user, { onActivity, onState, onKept }) {
    Object.assign(this, { id: "", bot, user, onActivity, onState, onKept });
  }

  /** Starts it, and opens the stream. Throws `Refused`, or a `TypeError` where the host cannot be reached. */
  async start() {
    this.onState("connecting");
    const { token } = await ask("POST", "/tokens/generate", null, { bot: this.bot, user: this.user });
    const opened = await ask("POST", "/conversations", token, { locale: navigator.language });
    if (this.#closed) return;
    this.id = opened.conversationId;
    this.#keep(opened.token ?? token);
    this.#refresh = setInterval(() => this.#renew(), REFRESH_MS);
    this.#listen(opened.streamUrl);
  }

  /** Goes on with a conversation of before. False: the host does not know it any more. */
  async resume({ id, token }) {
    this.onState("connecting");
    this.id = id;
    this.#token = token;
    try {
      await this.#open();
    } catch (error) {
      if (isForgotten(error)) return false;
      if (!this.#closed) this.#wait();
    }
    if (!this.#closed) this.#refresh = setInterval(() => this.#renew(), REFRESH_MS);
    return true;
  }

  /** Sends an activity. Returns once the bot has answered; throws as `start` does. */
  async send(activity) {
    const path = `/conversations/${encodeURIComponent(this.id)}/activities`;
    return ask("POST", path, this.#token, { ...activity, from: this.user });
  }

  /** Sends an activity with files. */
  async upload(activity, files) {
    const form = new FormData();
    const whole = { ...activity, from: this.user };
    form.append("activity", new Blob([JSON.stringify(whole)], { type: "application/vnd.microsoft.activity" }));
    for (const file of files) form.append("file", file, file.name);
    const path = `/conversations/${encodeURIComponent(this.id)}/upload?userId=${encodeURIComponent(this.user.id)}`;
    return ask("POST", path, this.#token, form);
  }

  /** Tries to come back at once, where it waits to try again. */
  hurry() {
    if (this.#retry) this.#reconnect();
  }

  /** Ends it on this side. */
  close() {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#refresh);
    this.#socket?.close();
  }

  #listen(url) {
    const socket = new WebSocket(url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#failures = 0;
      this.onState("online");
    };
    socket.onmessage = ({ data }) => {
      if (!data || this.#closed) return;
      const { activities = [], watermark } = JSON.parse(data);
      this.#watermark = watermark || this.#watermark;
      for (const activity of activities) this.onActivity(activity);
    };
    socket.onclose = ({ reason }) => {
      if (this.#closed || this.#socket !== socket) return;
      // Two tabs would take the stream from each other for ever.
      if (reason === "collision") this.#end("elsewhere");
      else this.#wait();
    };
  }

  #wait() {
    this.onState("offline");
    const delay = Math.min(500 * 2 ** this.#failures, RETRY_MS_MAX);
    this.#failures += 1;
    this.#retry = setTimeout(() => this.#reconnect(), delay);
  }

  async #reconnect() {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    try {
      await this.#open();
    } catch (error) {
      if (this.#closed) return;
      if (isForgotten(error)) this.#forget();
      else this.#wait();
    }
  }

  /** Opens the stream again, from where it was lost. */
  async #open() {
    const query = `watermark=${encodeURIComponent(this.#watermark)}`;
    const opened = await ask("GET", `/conversations/${encodeURIComponent(this.id)}?${query}`, this.#token);
    if (this.#closed) return;
    this.#keep(opened.token);
    this.#listen(opened.streamUrl);
  }

  async #renew() {
    try {
      const { token } = await ask("POST", "/tokens/refresh", this.#token);
      if (!this.#closed) this.#keep(token);
    } catch (error) {
      if (isForgotten(error) && !this.#closed) this.#forget();
    }
  }

  #keep(token) {
    this.#token = token;
    this.onKept({ id: this.id, token });
  }

  #forget() {
    this.onKept(null);
    this.#end("ended");
  }

  #end(state) {
    this.close();
    this.onState(state);
  }
}

/** Whether the host no longer knows a conversation, or its token. */
function isForgotten(error) {
  return [401, 403, 404].includes(error.status);
}

async function ask(method, path, token, body) {
  const headers = token ? { authorization: `Bearer ${token}` } : {};
  const isForm = body instanceof FormData;
  if (body && !isForm) headers["content-type"] = "application/json";
  const response = await fetch(BASE + path, { method, headers, body: isForm ? body : body && JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const { code = "", message = `the host answered ${response.status}` } = answer.error ?? {};
  throw new Refused(response.status, code, message);
}
