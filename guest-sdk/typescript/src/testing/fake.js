// The imports of the contract in a test, and what one turn stages.
import { Fault } from "../fault.js";
import { Memory } from "./memory.js";

const HOST_TYPES = ["invokeResponse"];
const STATE_BYTES_MAX = 256 << 10;

export class Fake {
  #incoming;
  #memory;
  #options;
  #manifest;
  #values;
  #stream;
  #sent = [];
  #committed = 0;
  #log = [];
  #asked = [];
  #response;
  #inHandler = false;
  #shown = [];
  #changes = [];
  #error;

  constructor(incoming, memory, options, manifest) {
    this.#incoming = incoming;
    this.#memory = memory;
    this.#options = options;
    this.#manifest = manifest;
    this.#values = new Map(memory.values);
    this.frames = memory.frames.get(options.conversation) ?? [];
    this.imports = this.#imports();
  }

  meta(trigger, extra = []) {
    const { user, conversation, channel, locale } = this.#options;
    return {
      turnId: "turn",
      botId: "bot",
      channelId: channel,
      conversationId: conversation,
      kind: this.#incoming.type,
      trigger,
      locale: this.#incoming.locale ?? locale,
      budgetMs: 1000,
      extra: [["random-seed", "00112233445566778899aabbccddeeff"], ["plugin", "test"], ...extra],
    };
  }

  savepoint() {
    return { sent: [...this.#sent], values: new Map(this.#values), asked: [...this.#asked], response: this.#response };
  }

  restore({ sent, values, asked, response }) {
    [this.#sent, this.#values, this.#asked, this.#response] = [sent, values, asked, response];
    this.#inHandler = false;
  }

  failed(error) {
    this.#error = error;
  }

  rollBack() {
    this.#sent = this.#sent.slice(0, this.#committed);
    this.#values = new Map(this.#memory.values);
    this.#asked = [];
    this.#response = undefined;
    return {};
  }

  commit() {
    this.#committed = this.#sent.length;
    this.#memory.values = new Map(this.#values);
    return {};
  }

  reply(activity) {
    this.#stage(activity, true);
    return {};
  }

  enter(frames) {
    [this.#inHandler, this.#shown, this.#changes] = [true, frames, []];
  }

  leave() {
    this.#inHandler = false;
    return this.#changes;
  }

  end({ flow, fault, frames, stack, reprompts }) {
    if (frames) this.#memory.frames.set(this.#options.conversation, frames);
    this.commit();
    const isInvoke = this.#incoming.type === "invoke";
    const response = this.#response ?? (isInvoke ? { status: fault ? 500 : 501 } : undefined);
    const messages = this.#sent.filter(({ activity, as }) => activity.type === "message" && as !== "delete");
    return {
      flow,
      fault: fault ?? undefined,
      error: this.#error,
      stack,
      reprompts,
      response,
      sent: this.#sent,
      log: this.#log,
      asked: this.#asked,
      messages: messages.map(({ activity }) => activity),
      texts: messages.map(({ activity }) => activity.text ?? ""),
    };
  }

  #stage(activity, isReply, as = isReply ? "reply" : "send") {
    if (typeof activity?.type !== "string") throw new Fault("invalid", "the activity has no `type`");
    if (HOST_TYPES.includes(activity.type)) throw new Fault("invalid", `only the host sends \`${activity.type}\``);
    const { recipient, from, conversation, channelId, locale, id } = this.#incoming;
    const { id: _, timestamp: __, ...rest } = activity;
    const complete = {
      from: recipient,
      recipient: from,
      conversation,
      channelId,
      ...(locale ? { locale } : {}),
      ...(isReply && id ? { replyToId: id } : {}),
      ...rest,
    };
    const host = `tt-${String(this.#memory.number()).padStart(26, "0")}`;
    this.#sent.push({ id: host, as, activity: complete });
    return host;
  }

  #known(id) {
    if (id && (!id.startsWith("tt-") || this.#sent.some((sent) => sent.id === id))) return;
    throw new Fault("invalid", `no activity has the id \`${id}\``);
  }

  #place(scope, key) {
    const owner = Memory.owner(scope, this.#incoming.from?.id ?? this.#options.user, this.#options.conversation);
    if (owner === undefined) throw new Fault("invalid", `there is no state scope \`${scope}\``);
    if (!(this.#manifest.wants?.state ?? []).includes(scope)) {
      throw new Fault(
        "denied",
        `the manifest does not ask for state of \`${scope}\`: add it to \`manifest.wants.state\``,
      );
    }
    if (key.length < 1 || key.length > 256)
      throw new Fault("invalid", `a key has 1 to 256 bytes, this one has ${key.length}`);
    return Memory.place(scope, owner, key);
  }

  #write(scope, key, entry, etag) {
    const place = this.#place(scope, key);
    if (etag !== undefined && (this.#values.get(place)?.etag ?? "") !== etag) {
      throw new Fault("conflict", `the value of \`${key}\` is not the one that the etag names`);
    }
    if (entry && entry.value.length + key.length > STATE_BYTES_MAX)
      throw new Fault("quota", `state-bytes-per-scope (${STATE_BYTES_MAX})`);
    if (entry) this.#values.set(place, entry);
    else this.#values.delete(place);
  }

  #stackCall() {
    if (!this.#manifest.wants?.dialogs) throw new Fault("denied", "the manifest does not ask for `dialogs`");
    if (!this.#inHandler) throw new Fault("denied", "a dialog changes the stack by the step that it returns");
  }

  #begin(change, dialog, options) {
    this.#stackCall();
    if (!(this.#manifest.dialogs ?? []).some(({ id }) => id === dialog))
      throw new Fault("invalid", `the manifest has no dialog \`${dialog}\``);
    const id = `frame-${this.#memory.number()}`;
    this.#changes.push({ [change]: { dialog, options, id } });
    const below = change === "replace" ? this.#shown.slice(1) : this.#shown;
    this.#shown = [{ id, plugin: "test", dialog, waitsFor: "none" }, ...below];
    return id;
  }

  #ask(timer, reference, mode, content) {
    if (!this.#manifest.wants?.conversations)
      throw new Fault("denied", "the manifest does not ask for `conversations`");
    const read = JSON.parse(content);
    if (mode === "now" && read.dialog) throw new Fault("invalid", "a dialog cannot be delivered `now`");
    const id = String(this.#memory.number());
    this.#asked.push({ id, ...timer, reference, mode, content: read });
    return id;
  }

  #openStream(id) {
    if (this.#stream?.id !== id) throw new Fault("invalid", "no stream with this id is open in this turn");
    return this.#stream;
  }

  #imports() {
    return {
      turn: {
        reply: (text) => this.#stage(JSON.parse(text), true),
        send: (text) => this.#stage(JSON.parse(text), false),
        update: (id, text) => {
          this.#known(id);
          this.#sent.push({ id, as: "update", activity: JSON.parse(text) });
        },
        delete: (id) => {
          this.#known(id);
          this.#sent.push({ id, as: "delete", activity: {} });
        },
        flush: () => {
          if (!this.#inHandler) throw new Fault("denied", "return the step `flush` instead");
          this.commit();
        },
        respond: (status, body) => {
          if (this.#incoming.type !== "invoke") throw new Fault("invalid", "the turn is no invoke");
          if (!(status >= 200 && status < 600))
            throw new Fault("invalid", `the status ${status} is not between 200 and 599`);
          this.#response = { status, ...(body === undefined ? {} : { body: JSON.parse(body) }) };
        },
      },
      textStream: {
        open: () => {
          if (!this.#inHandler) throw new Fault("denied", "not within `on-dialog` or `on-event`");
          if (this.#stream) throw new Fault("invalid", "a stream is open in this turn");
          this.commit();
          this.#stream = { id: `stream-${this.#memory.number()}`, text: "" };
          return this.#stream.id;
        },
        append: (id, text) => {
          this.#openStream(id).text += text;
        },
        close: (id, activity) => {
          const { text } = this.#openStream(id);
          this.#stream = undefined;
          const last = JSON.parse(activity);
          this.#stage({ ...last, text: last.text || text }, true);
        },
      },
      state: {
        get: (scope, key) => this.#values.get(this.#place(scope, key)),
        set: (scope, key, value, etag) => {
          const fresh = String(this.#memory.number());
          this.#write(scope, key, { value, etag: fresh }, etag);
          return fresh;
        },
        remove: (scope, key, etag) => this.#write(scope, key, undefined, etag),
      },
      config: {
        get: (key) =>
          Object.hasOwn(this.#options.settings, key) ? JSON.stringify(this.#options.settings[key]) : undefined,
        keys: () => Object.keys(this.#options.settings).sort(),
      },
      log: {
        write: (level, message, fields) => void this.#log.push({ level, message, fields: Object.fromEntries(fields) }),
      },
      dialogs: {
        begin: (dialog, options) => this.#begin("begin", dialog, options),
        replace: (dialog, options) => this.#begin("replace", dialog, options),
        cancelAll: () => {
          this.#stackCall();
          const count = this.#shown.length;
          this.#changes.push("cancel-all");
          this.#shown = [];
          return count;
        },
        reprompt: () => {
          this.#stackCall();
          this.#changes.push("reprompt");
          return this.#shown.length > 0 && this.#shown[0].waitsFor !== "none";
        },
        stack: () => this.#shown,
      },
      conversations: {
        reference: () => JSON.stringify({ conversation: this.#options.conversation }),
        notify: (reference, mode, content) => this.#ask({}, reference, mode, content),
        schedule: (name, at, reference, mode, content) => this.#ask({ name, at }, reference, mode, content),
        cancel: (id) => {
          const before = this.#asked.length;
          this.#asked = this.#asked.filter((asked) => asked.id !== id);
          return this.#asked.length < before;
        },
      },
    };
  }
}
