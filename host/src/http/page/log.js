// The conversation as it is shown: messages in order, what each turn did, and what happened to the bot meanwhile.

import { attachments } from "./cards.js";
import { el, json, plain } from "./dom.js";
import { markdown } from "./markdown.js";
import { failed, turnBlock } from "./turns.js";

/** Types of activities without a place in the log. */
const SILENT = new Set(["typing", "conversationUpdate", "endOfConversation"]);
/** Messages shown at once; the oldest go first. */
const SHOWN_MAX = 500;
/** This close to the end, the log follows what is added. */
const NEAR_PX = 80;

export class Log {
  #root;
  #act;
  #shown = new Map();
  #records = new Map();

  /** `act(activity)` sends what a card asks for. */
  constructor(root, act) {
    this.#root = root;
    this.#act = act;
  }

  clear() {
    this.#root.replaceChildren();
    this.#shown.clear();
    this.#records.clear();
  }

  /** Shows a message of the user before the host has it, under the id that its client gave it. */
  pending(activity) {
    const article = this.#article(activity, true);
    article.classList.add("pending");
    this.#shown.set(activity.channelData.clientActivityID, article);
    this.#add(article, true);
  }

  /** Shows an activity, or its new state where it is shown already. */
  show(activity, isUser) {
    const clientId = activity.channelData?.clientActivityID;
    const known = this.#shown.get(activity.id) ?? (isUser ? this.#shown.get(clientId) : this.#streamed(activity));
    if (activity.type === "messageDelete") return known?.replaceChildren(el("p", { class: "muted", text: "Message deleted" }));
    if (SILENT.has(activity.type) && !isPartial(activity)) return undefined;
    const article = this.#article(activity, isUser);
    this.#shown.set(isPartial(activity) ? streamId(activity) : activity.id, article);
    if (isUser && clientId) this.#shown.set(clientId, article);
    if (known) {
      this.#keepingEnd(() => known.replaceWith(article));
    } else {
      this.#add(article, isUser);
    }
    const record = this.#records.get(activity.id);
    if (isUser && record) this.#attach(article, record);
    return article;
  }

  /** Says beside a message of the user why it was not taken, with a way to send it again. */
  refused(clientId, id, why, again) {
    const article = this.#shown.get(id) ?? this.#shown.get(clientId);
    if (!article || article.querySelector(".turn.bad")) return;
    article.classList.remove("pending");
    const resend = () => {
      article.remove();
      again();
    };
    const button = again && el("button", { type: "button", class: "link", text: "Send again", click: resend });
    const note = el("p", { class: "refused", role: "alert" }, `${why} `, button);
    this.#keepingEnd(() => article.querySelector(".turns").replaceChildren(note));
  }

  /** Shows what a turn did beside the activity that caused it. */
  turn(record) {
    this.#records.set(record.activity_id, record);
    if (this.#records.size > SHOWN_MAX) this.#records.delete(this.#records.keys().next().value);
    const article = this.#shown.get(record.activity_id);
    if (article) return this.#attach(article, record);
    // A message comes by the other connection in a moment. Everything else has no place of its own.
    if (record.kind === "message" || record.calls.length === 0) return undefined;
    const announced = failed(record) ? "polite" : "off";
    const attributes = { class: "event turns", "data-time": String(record.started_ms), "aria-live": announced };
    const row = el("div", attributes, turnBlock(record, described(record)));
    // Its answers may be here already, and stand after it.
    const later = [...this.#root.children].find((child) => Number(child.dataset.time) >= record.started_ms);
    return this.#keepingEnd(() => (later ? later.before(row) : this.#root.append(row)));
  }

  /** Says that something happened to the bot. `kind` is `swap`, `bad` or nothing. */
  notice(kind, title, ...rest) {
    this.#add(el("div", { class: `notice ${kind}` }, el("p", { class: "notice-line", text: title }), ...rest), false);
  }

  #attach(article, record) {
    this.#keepingEnd(() => {
      const turns = article.querySelector(".turns");
      turns?.setAttribute("aria-live", failed(record) ? "polite" : "off");
      turns?.replaceChildren(turnBlock(record));
    });
  }

  #article(activity, isUser) {
    const who = isUser ? "You" : plain(activity.from?.name) || "Bot";
    const time = activity.timestamp ? new Date(activity.timestamp) : new Date();
    const classes = ["message", isUser ? "user" : "bot", isPartial(activity) && "partial"].filter(Boolean).join(" ");
    const source = el("div", { class: "source" });
    const clock = el("time", { datetime: time.toISOString(), text: time.toLocaleTimeString() });
    return el(
      "article",
      { class: classes, "data-id": activity.id, "data-time": String(time.getTime()) },
      el("h3", { class: "hidden", text: `${who} said` }),
      el("div", { class: "content" }, body(activity, isUser), attachments(activity, this.#act)),
      el("p", { class: "meta" }, clock, jsonButton(activity, who, source)),
      source,
      isUser && el("div", { class: "turns", "aria-live": "off" }),
    );
  }

  /** Returns the partial text that an activity continues or completes. */
  #streamed(activity) {
    const id = streamId(activity);
    return id ? this.#shown.get(id) : undefined;
  }

  #add(child, follow) {
    this.#keepingEnd(() => {
      this.#root.querySelector(".empty")?.remove();
      this.#root.append(child);
      if (this.#root.childElementCount > SHOWN_MAX) this.#root.firstElementChild.remove();
    }, follow);
  }

  #keepingEnd(change, follow = false) {
    const root = this.#root;
    const isNear = root.scrollHeight - root.scrollTop - root.clientHeight < NEAR_PX;
    change();
    if (isNear || follow) root.scrollTop = root.scrollHeight;
  }
}

/** Makes the button that shows and hides the JSON of an activity in `source`. */
function jsonButton(activity, who, source) {
  const button = el("button", { type: "button", class: "link", "aria-expanded": "false", text: "JSON" });
  button.setAttribute("aria-label", `JSON of this message from ${who}`);
  button.addEventListener("click", () => {
    const opens = source.childElementCount === 0;
    source.replaceChildren(...(opens ? [json(activity, "Activity as JSON")] : []));
    button.setAttribute("aria-expanded", String(opens));
    if (opens) source.scrollIntoView({ block: "nearest" });
  });
  return button;
}

function body(activity, isUser) {
  const text = plain(activity.text);
  // What the user typed is shown as it was typed.
  const isPlain = isUser || ["plain", "xml"].includes(plain(activity.textFormat).toLowerCase());
  if (text) return isPlain ? el("p", { class: "text", text }) : el("div", { class: "text markdown" }, markdown(text));
  if (activity.attachments?.length > 0) return null;
  const { type, name, value, channelData } = activity;
  if (type !== "message") return el("p", { class: "muted", text: name ? `${type}: ${plain(name)}` : plain(type) });
  if (value !== undefined) {
    const lead = channelData?.postBack && el("p", { class: "muted", text: "Sent by a button" });
    return [lead, el("pre", { class: "value", text: JSON.stringify(value, null, 2) })];
  }
  return el("p", { class: "muted", text: "Empty message" });
}

function described(record) {
  const member = { bot: "it", user: "you" }[record.activity_id.split("|").at(-1)];
  return record.kind === "conversationUpdate" && member ? `Told that ${member} joined` : record.kind;
}

function streamId(activity) {
  const data = activity.channelData ?? {};
  return data.streamType ? `stream ${data.streamId ?? activity.id}` : undefined;
}

function isPartial(activity) {
  return activity.type === "typing" && plain(activity.text) !== "" && Boolean(activity.channelData?.streamType);
}
