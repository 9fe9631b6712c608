// The turn, through which a handler reads the activity and calls the host.
import { textWithoutRecipient, toActivity } from "./activity.js";
import { Fault, call } from "./fault.js";
import { State } from "./state.js";

const text = (what) => JSON.stringify(toActivity(what));

/** One activity that is being handled. Sends are staged and leave after the turn has succeeded. */
export class Turn {
  constructor(meta, activity, host) {
    this.meta = meta;
    this.activity = activity;
    this.host = host;
  }

  get text() {
    return this.activity.text ?? "";
  }

  get spokenText() {
    return this.extra("spoken-text") ?? textWithoutRecipient(this.activity);
  }

  get route() {
    return this.meta.trigger.startsWith("route:") ? this.meta.trigger.slice("route:".length) : undefined;
  }

  get value() {
    return this.activity.value;
  }

  get locale() {
    return this.meta.locale ?? undefined;
  }

  extra(name) {
    return this.meta.extra.find(([known]) => known === name)?.[1];
  }

  reply(what) {
    return call(() => this.host.turn.reply(text(what)));
  }

  send(what) {
    return call(() => this.host.turn.send(text(what)));
  }

  update(id, what) {
    call(() => this.host.turn.update(id, text(what)));
  }

  delete(id) {
    // componentize-qjs exports the function under its own name; other toolchains add an underscore to a reserved word.
    const { turn } = this.host;
    call(() => (turn.delete ?? turn._delete)(id));
  }

  typing() {
    this.reply({ type: "typing" });
  }

  flush() {
    call(() => this.host.turn.flush());
  }

  stream(informative = undefined) {
    return new TextStream(this.host, informative);
  }

  respond({ status, body }) {
    call(() => this.host.turn.respond(status, body === undefined ? undefined : JSON.stringify(body)));
  }

  get state() {
    return new State(this.host);
  }

  get dialogs() {
    return new Stack(this.host);
  }

  get conversations() {
    return new Conversations(this.host);
  }

  get log() {
    return new Log(this.host);
  }

  config(key, fallback = undefined) {
    const value = this.host.config.get(key);
    return value === undefined || value === null ? fallback : JSON.parse(value);
  }

  required(key) {
    const value = this.config(key);
    if (value === undefined) throw new Fault("invalid", `the setting \`${key}\` is not set`);
    return value;
  }

  configKeys() {
    return this.host.config.keys();
  }
}

/** A reply that grows while the user reads it. */
class TextStream {
  #host;
  #id;

  constructor(host, informative) {
    this.#host = host;
    this.#id = call(() => host.textStream.open(informative));
  }

  append(more) {
    if (more) call(() => this.#host.textStream.append(this.#id, String(more)));
  }

  close(what = { type: "message" }) {
    call(() => this.#host.textStream.close(this.#id, text(what)));
  }
}

/** The dialog stack of the conversation. */
class Stack {
  constructor(host) {
    this.host = host;
  }

  begin(dialog, options = null) {
    return call(() => this.host.dialogs.begin(dialog, JSON.stringify(options)));
  }

  replace(dialog, options = null) {
    return call(() => this.host.dialogs.replace(dialog, JSON.stringify(options)));
  }

  cancelAll() {
    return call(() => this.host.dialogs.cancelAll());
  }

  reprompt() {
    return call(() => this.host.dialogs.reprompt());
  }

  frames() {
    return call(() => this.host.dialogs.stack());
  }
}

/** Deliveries into this or another conversation, now or later. */
class Conversations {
  constructor(host) {
    this.host = host;
  }

  reference() {
    return call(() => this.host.conversations.reference());
  }

  notify(reference, when, delivery) {
    return call(() => this.host.conversations.notify(reference, when, content(delivery)));
  }

  schedule(name, at, reference, when, delivery) {
    const time = at instanceof Date ? at.toISOString() : at;
    return call(() => this.host.conversations.schedule(name, time, reference, when, content(delivery)));
  }

  cancel(id) {
    return call(() => this.host.conversations.cancel(id));
  }
}

/** What a notification delivers. */
export const deliver = {
  activity: (what) => ({ activity: toActivity(what) }),
  event: (name, value = null) => ({ event: { name, value } }),
  dialog: (dialog, options = null) => ({ dialog, options }),
};

function content(delivery) {
  const is =
    delivery !== null && typeof delivery === "object" && ["activity", "event", "dialog"].some((it) => it in delivery);
  return JSON.stringify(is ? delivery : deliver.activity(delivery));
}

/** Lines in the host's log. */
class Log {
  constructor(host) {
    for (const level of ["trace", "debug", "info", "warn", "error"]) {
      this[level] = (message, fields = {}) => {
        const pairs = Object.entries(fields).map(([name, value]) => [
          name,
          typeof value === "string" ? value : (JSON.stringify(value) ?? String(value)),
        ]);
        host.log.write(level, String(message), pairs);
      };
    }
  }
}
