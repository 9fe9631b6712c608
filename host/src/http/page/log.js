// The conversation as it is shown: messages in order, what each turn did, and what happened to the bot meanwhile.

import { attachments } from "./cards.js";
import { el, json, plain } from "./dom.js";
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
    const button = again && el("button", { type: "button", class: "link", text: "Send again", click: () => { article.remove(); again(); } });
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
    const row = el("div", { class: "event" }, el("p", { class: "event-line", text: described(record) }), el("div", { class: "turns", "aria-live": failed(record) ? "polite" : "off" }, turnBlock(record)));
    const answer = [...this.#root.children].find((child) => child.dataset.replyTo === record.activity_id);
    return this.#keepingEnd(() => (answer ? answer.before(row) : this.#root.append(row)));
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
    const source = el("div", { class: "source" });
    const toggle = el("button", { type: "button", class: "link", "aria-expanded": "false", "aria-label": `JSON of this message from ${who}`, text: "JSON" });
    toggle.addEventListener("click", () => {
      const isOpen = source.childElementCount > 0;
      source.replaceChildren(...(isOpen ? [] : [json(activity, "Activity as JSON")]));
      toggle.setAttribute("aria-expanded", String(!isOpen));
      if (!isOpen) source.scrollIntoView({ block: "nearest" });
    });
    return el(
      "article",
      { class: `message ${isUser ? "user" : "bot"}${isPartial(activity) ? " partial" : ""}`, "data-reply-to": activity.replyToId, "data-id": activity.id },
      el("h3", { class: "hidden", text: `${who} said` }),
      el("div", { class: "content" }, body(activity), attachments(activity, this.#act)),
      el("p", { class: "meta" }, el("time", { datetime: time.toISOString(), text: time.toLocaleTimeString() }), toggle),
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

function body(activity) {
  const text = plain(activity.text);
  if (text) return el("p", { class: "text", text });
  if (activity.attachments?.length > 0) return null;
  const { type, name, value, channelData } = activity;
  if (type !== "message") return el("p", { class: "muted", text: name ? `${type}: ${plain(name)}` : plain(type) });
  if (value !== undefined) return [channelData?.postBack && el("p", { class: "muted", text: "Sent by a button" }), el("pre", { class: "value", text: JSON.stringify(value, null, 2) })];
  return el("p", { class: "muted", text: "Empty message" });
}

function described(record) {
  const member = { bot: "the bot", user: "you" }[record.activity_id.split("|").at(-1)];
  return record.kind === "conversationUpdate" && member ? `The bot was told that ${member === "you" ? "you" : "it"} joined` : record.kind;
}

function streamId(activity) {
  const data = activity.channelData ?? {};
  return data.streamType ? `stream ${data.streamId ?? activity.id}` : undefined;
}

function isPartial(activity) {
  return activity.type === "typing" && plain(activity.text) !== "" && Boolean(activity.channelData?.streamType);
}
