// The SDK: write the logic of a bot in TypeScript or JavaScript, as a plugin of Turntable.

/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };

export interface Account {
  id: string;
  name?: string;
  aadObjectId?: string;
  role?: string;
  [member: string]: unknown;
}

export interface Attachment {
  contentType: string;
  contentUrl?: string;
  content?: any;
  name?: string;
  thumbnailUrl?: string;
  [member: string]: unknown;
}

export interface CardAction {
  type: string;
  title: string;
  value?: any;
  [member: string]: unknown;
}

/** An activity. Members that this type does not name are kept. */
export interface Activity {
  type: string;
  id?: string;
  text?: string;
  speak?: string;
  locale?: string;
  name?: string;
  value?: any;
  action?: string;
  code?: string;
  channelId?: string;
  serviceUrl?: string;
  replyToId?: string;
  inputHint?: string;
  textFormat?: string;
  summary?: string;
  timestamp?: string | Date;
  localTimestamp?: string | Date;
  from?: Account;
  recipient?: Account;
  conversation?: { id: string; isGroup?: boolean; [member: string]: unknown };
  attachments?: Attachment[];
  entities?: any[];
  suggestedActions?: { to?: string[]; actions: CardAction[]; [member: string]: unknown };
  membersAdded?: Account[];
  membersRemoved?: Account[];
  reactionsAdded?: { type: string }[];
  reactionsRemoved?: { type: string }[];
  channelData?: any;
  [member: string]: any;
}

/** What `turn.reply` sends: a text, an attachment, or an activity. */
export type Sendable = string | Attachment | (Partial<Activity> & { type: string });

export interface MessageOptions extends Partial<Omit<Activity, "type" | "text">> {
  /** Buttons that disappear after the user chose one. A text is a button that sends the text. */
  suggest?: (string | CardAction)[];
}

/** Creates a message. */
export function message(text: string, more?: MessageOptions): Activity;
/** Creates an activity of any type. */
export function activity(type: string, more?: Partial<Activity>): Activity;
/** Creates an event. */
export function event(name: string, value?: unknown): Activity;
/** Creates a button. A text is a button that sends the text as a message of the user. */
export function action(button: string | CardAction): CardAction;
/** Creates an attachment with an adaptive card. */
export function adaptiveCard(content: object): Attachment;
export interface HeroCardOptions {
  subtitle?: string;
  text?: string;
  images?: (string | { url: string; alt?: string })[];
  buttons?: (string | CardAction)[];
}
/** Creates an attachment with a hero card. */
export function heroCard(title: string, options?: HeroCardOptions): Attachment;
/** Creates an attachment with a file. */
export function file(contentType: string, contentUrl: string, name?: string): Attachment;
/** Creates a mention of an account, for `entities`. The text of the message must contain the `text` of the mention. */
export function mention(account: Account): { type: "mention"; mentioned: Account; text: string };

export type FaultCode = "denied" | "quota" | "deadline" | "conflict" | "invalid" | "unavailable" | "internal";
export interface FaultOptions {
  retryAfterMs?: number;
  /** Details for the log. Never shown to a user. */
  detail?: string;
  cause?: unknown;
}
/**
 * Why a call failed. The host throws it for a call that it refuses, and a handler throws it to fail. Any other error
 * that a
 * handler throws becomes fault `internal` with the file and line in its message. The host then discards what the
 * handler sent.
 */
export class Fault extends Error {
  constructor(code: FaultCode | (string & {}), message: string, options?: FaultOptions);
  readonly code: FaultCode | (string & {});
  readonly retryAfterMs?: number;
  readonly detail?: string;
  static denied(message: string, options?: FaultOptions): Fault;
  static quota(message: string, options?: FaultOptions): Fault;
  static deadline(message: string, options?: FaultOptions): Fault;
  static conflict(message: string, options?: FaultOptions): Fault;
  static invalid(message: string, options?: FaultOptions): Fault;
  static unavailable(message: string, options?: FaultOptions): Fault;
  static internal(message: string, options?: FaultOptions): Fault;
}

/**
 * Whether the turn goes on: `next` continues with the next route or plugin. A handler that returns nothing has
 * handled it.
 */
export type Flow = "handled" | "next";
export type Handled = Flow | void | undefined | Promise<Flow | void | undefined>;
export type Awaitable<T> = T | Promise<T>;

/** What the host knows about the turn. A channel cannot forge `turnId`, `botId` and `trigger`. */
export interface Meta {
  turnId: string;
  botId: string;
  channelId: string;
  conversationId: string;
  /** The type of the activity. */
  kind: string;
  /** `activity`, `route:NAME`, `dialog:ID`, `notify`, `timer:NAME`, or a later value. */
  trigger: string;
  locale?: string;
  /** CPU time that this plugin may still use in this turn. */
  budgetMs: number;
  extra: [string, string][];
}

export type Scope = "conversation" | "user" | "private" | "bot";

/** A value that outlives the turn. It remembers the etag that it was read with. */
export interface Stored<T> {
  get(): T | undefined;
  get(fallback: T): T;
  /**
   * Writes. If another turn changed the value after this turn read it, the host runs this turn again with the new
   * value.
   */
  set(value: T): void;
  /** Writes, whatever the value was before. */
  overwrite(value: T): void;
  /** Reads, writes what `change` returns, and returns it. */
  update(change: (value: T) => T, fallback: T): T;
  update(change: (value: T | undefined) => T): T;
  remove(): void;
}

/** Needs the grant `state`: `manifest: { wants: { state: ["user"] } }`. */
export interface State {
  conversation<T = any>(key: string): Stored<T>;
  user<T = any>(key: string): Stored<T>;
  private<T = any>(key: string): Stored<T>;
  bot<T = any>(key: string): Stored<T>;
  of<T = any>(scope: Scope, key: string): Stored<T>;
}

export interface Frame {
  id: string;
  plugin: string;
  dialog: string;
  /** `message`, `prompt:KIND`, `child` or `none`. */
  waitsFor: string;
}

/** The dialog stack of the conversation. Works in handlers only; a dialog returns steps instead. */
export interface Stack {
  begin(dialog: string, options?: unknown): string;
  replace(dialog: string, options?: unknown): string;
  cancelAll(): number;
  reprompt(): boolean;
  /** The stack, top first. */
  frames(): Frame[];
}

export type When = "now" | "when-idle" | "interrupt" | "cancel";
export type Delivery =
  { activity: Activity } | { event: { name: string; value: unknown } } | { dialog: string; options: unknown };
/** What `notify` and `schedule` deliver. */
export const deliver: {
  activity(what: Sendable): Delivery;
  event(name: string, value?: unknown): Delivery;
  dialog(dialog: string, options?: unknown): Delivery;
};
/** Deliveries into this or another conversation. Needs the grant `conversations`. */
export interface Conversations {
  reference(): string;
  notify(reference: string, when: When, delivery: Delivery | Sendable): string;
  /** `at` is a date, an RFC 3339 time, or a cron expression followed by a time zone. */
  schedule(name: string, at: string | Date, reference: string, when: When, delivery: Delivery | Sendable): string;
  cancel(id: string): boolean;
}

export type LogLine = (message: string, fields?: Record<string, unknown>) => void;
export interface Log {
  trace: LogLine;
  debug: LogLine;
  info: LogLine;
  warn: LogLine;
  error: LogLine;
}

export interface InvokeResponse {
  status: number;
  body?: any;
}

/** The turn. Its functions are synchronous: what they send is staged and leaves after the turn has succeeded. */
export class Turn {
  private constructor();
  readonly meta: Meta;
  readonly activity: Activity;
  /** The text as the channel sent it, or `""`. */
  readonly text: string;
  /** What the user said: the text without mentions of the bot, quotes, escapes and e-mail signatures. */
  readonly spokenText: string;
  /** The name of the route that matched. */
  readonly route: string | undefined;
  readonly value: any;
  readonly locale: string | undefined;
  readonly state: State;
  readonly dialogs: Stack;
  readonly conversations: Conversations;
  readonly log: Log;
  /** Returns a fact in `meta.extra`. */
  extra(name: string): string | undefined;
  /** Answers the activity and returns the host id of the answer. */
  reply(what: Sendable): string;
  /** Adds an activity that answers nothing. */
  send(what: Sendable): string;
  update(id: string, what: Sendable): void;
  delete(id: string): void;
  /** Shows a typing indicator, at once. */
  typing(): void;
  /** Delivers what is staged now. If the turn fails later, the flushed part remains. Handlers only. */
  flush(): void;
  /**
   * Opens a reply that grows while the user reads it, and flushes the turn. `informative` is a first line that the first text replaces.
   * Handlers only.
   */
  stream(informative?: string): TextStream;
  respond(response: InvokeResponse): void;
  /** Returns a setting of the operator. */
  config<T = any>(key: string): T | undefined;
  config<T>(key: string, fallback: T): T;
  /** Returns a setting. Fault `invalid` if it is not set. */
  required<T = any>(key: string): T;
  configKeys(): string[];
}

/** A reply that grows while the user reads it. A stream that is left open is closed by the host at the end of the handler. */
export interface TextStream {
  /** Appends text. Fault `unavailable`: the user stopped the stream, so return. */
  append(text: string): void;
  /** Ends the stream. A message without text gets what was appended. */
  close(what?: Sendable): void;
}

export interface Route {
  name: string;
  /** A regular expression (Rust crate `regex`) that must match the whole text. */
  pattern: string;
  locales?: string[];
  score?: number;
  order?: number;
  /** A question that the host asks before the route interrupts a dialog. */
  confirm?: string;
  after?: "reprompt" | "none";
  /** Whether the message stops the turn that runs in the conversation, and is answered next. */
  control?: boolean;
}

/** Name, version and description come from package.json unless they are given here. */
export interface Manifest {
  name?: string;
  version?: string;
  description?: string;
  /** The types of activities that reach the handlers. Default: all. */
  activities?: string[];
  routes?: Route[];
  wants?: { state?: Scope[]; conversations?: boolean; dialogs?: boolean; [grant: string]: unknown };
  /** A JSON schema of the settings. */
  settings?: object;
}

export interface AdaptiveCardAction {
  id?: string;
  verb?: string;
  data?: any;
  [member: string]: unknown;
}
export interface Search {
  kind: string;
  queryText: string;
  queryOptions?: { skip?: number; top?: number };
  dataset?: string;
  [member: string]: unknown;
}
/** What a handler of an invoke returns. Nothing passes the invoke on; if no plugin answers, the caller gets 501. */
export type Answer = Awaitable<InvokeResponse | undefined | void>;
/** Builders of responses to invokes. */
export const response: {
  status(status: number): InvokeResponse;
  ok(body?: unknown): InvokeResponse;
  card(card: object): InvokeResponse;
  message(text: string): InvokeResponse;
  results(results: { value: string; title: string }[]): InvokeResponse;
  error(status: number, code: string, message: string): InvokeResponse;
};

/** What a hook of middleware returns. Nothing lets the activity pass. */
export type Passage = Step | void | undefined;
export function replaceWith(activity: Activity): Step;
export function stop(): Step;
/** The plugin that sends the activity: empty for an incoming one, `turntable` for the host. */
export function sender(turn: Turn): string;

/** A bot. Every member is optional; an activity without a handler goes to the next plugin. */
export interface BotDefinition {
  manifest?: Manifest;
  dialogs?: Dialog[];
  /** Handles every activity. Call `dispatch(this, turn)` for the other handlers. */
  onTurn?(turn: Turn): Handled;
  /** Runs last in a turn that did not fail. What it returns replaces the flow. */
  onTurnEnd?(turn: Turn, flow: Flow): Handled;
  onRoute?(turn: Turn, name: string): Handled;
  onMessage?(turn: Turn): Handled;
  onMessageUpdate?(turn: Turn): Handled;
  onMessageDelete?(turn: Turn): Handled;
  /** Return `next` to go on with `onMembersAdded` or `onMembersRemoved`. */
  onConversationUpdate?(turn: Turn): Handled;
  /** `members` never contains the bot itself. */
  onMembersAdded?(turn: Turn, members: Account[]): Handled;
  onMembersRemoved?(turn: Turn, members: Account[]): Handled;
  onMessageReaction?(turn: Turn): Handled;
  onReactionsAdded?(turn: Turn, reactions: { type: string }[]): Handled;
  onReactionsRemoved?(turn: Turn, reactions: { type: string }[]): Handled;
  onEvent?(turn: Turn): Handled;
  onTokenResponse?(turn: Turn, token: { connectionName?: string; token?: string; expiration?: string }): Handled;
  onInvoke?(turn: Turn): Answer;
  onAdaptiveCardAction?(turn: Turn, action: AdaptiveCardAction): Answer;
  onSearch?(turn: Turn, search: Search): Answer;
  onSignInVerify?(turn: Turn, state: string): Answer;
  onSignInExchange?(turn: Turn, exchange: { id?: string; connectionName?: string; token?: string }): Answer;
  onEndOfConversation?(turn: Turn): Handled;
  onTyping?(turn: Turn): Handled;
  onInstallationUpdate?(turn: Turn): Handled;
  onInstallationAdded?(turn: Turn): Handled;
  onInstallationRemoved?(turn: Turn): Handled;
  onCommand?(turn: Turn): Handled;
  onCommandResult?(turn: Turn): Handled;
  onUnrecognized?(turn: Turn): Handled;
  /** Middleware: an incoming activity, before routes, dialogs and handlers. */
  onReceive?(turn: Turn): Awaitable<Passage>;
  /** Middleware: an outgoing activity, at the moment it is staged. */
  onSend?(turn: Turn, activity: Activity): Awaitable<Passage>;
  onUpdate?(turn: Turn, activity: Activity): Awaitable<Passage>;
  onDelete?(turn: Turn, id: string): Awaitable<Passage>;
  /** Middleware: the turn is about to commit. `outcome` is `completed`, `failed` or `stopped`. */
  afterTurn?(turn: Turn, outcome: string): Awaitable<void>;
}
/** Checks the types of a bot that is an object: `export default defineBot({ … })`. */
export function defineBot<T extends BotDefinition>(definition: T & ThisType<T & BotDefinition>): T;
/**
 * Base class of a bot that is a class: `export default class extends Bot { … }`. Each turn has an instance of its
 * own.
 */
export class Bot {
  dispatch(turn: Turn): Promise<Flow>;
}
export interface Bot extends BotDefinition {}
/** Calls the handlers of the turn's activity. Call it if you define `onTurn`. */
export function dispatch(bot: BotDefinition, turn: Turn): Promise<Flow>;

/** A question that the host asks. Its answer has the type `T`. */
export class Prompt<T> {
  private constructor();
  private readonly answer: T;
  readonly definition: object;
}
export interface PromptOptions {
  /** Identifies the question in a straight-line dialog, so that you can edit its text while conversations wait. */
  name?: string;
  /** The question after an answer that was not understood or not valid. */
  retry?: Sendable;
  /** After this many wrong answers the prompt fails, 1 to 100. */
  attempts?: number;
  /** The name of a validator of the dialog. */
  validator?: string;
  locale?: string;
}
export type Style = "auto" | "inline" | "list" | "suggested-action" | "hero-card" | "none";
export type Choice = string | { value: string; title?: string; synonyms?: string[]; action?: CardAction };
export interface Chosen {
  value: string;
  index: number;
  score: number;
  synonym: string;
}
/** A date, a time or both, in ISO 8601 without an offset. */
export interface Moment {
  type: "date" | "time" | "date-time";
  value: string;
}
export function text(
  question: Sendable,
  options?: PromptOptions & { minLength?: number; maxLength?: number; pattern?: string | RegExp },
): Prompt<string>;
export function number(
  question: Sendable,
  options?: PromptOptions & { min?: number; max?: number; integer?: boolean },
): Prompt<number>;
export function confirm(
  question: Sendable,
  options?: PromptOptions & { words?: [Choice, Choice]; style?: Style },
): Prompt<boolean>;
export function choice(
  question: Sendable,
  choices: Choice[],
  options?: PromptOptions & { style?: Style; ordinals?: boolean; fuzzy?: boolean },
): Prompt<Chosen>;
export function dateTime(
  question: Sendable,
  options?: PromptOptions & {
    types?: Moment["type"][];
    earliest?: string;
    latest?: string;
    /** The IANA zone of a user whose activity names none. */
    timeZone?: string;
    /** The order of `5/12/2027`. Default: that of the locale. */
    dateOrder?: "day-month" | "month-day";
  },
): Prompt<Moment>;
export function attachment(
  question: Sendable,
  options?: PromptOptions & { contentTypes?: string[]; maxCount?: number },
): Prompt<Attachment[]>;

/** What the host does next for a dialog. */
export class Step {
  private constructor();
  readonly kind: string;
  readonly data: unknown;
  /** Sets the state to store until the next event. */
  withState(state: unknown): Step;
}
export interface DialogEvent {
  kind: string;
  name: string;
  data: any;
}
/** A dialog. `dialog` and `waterfall` create one; implement it yourself for another style. */
export interface Dialog {
  readonly id: string;
  readonly version?: number;
  onEvent(turn: Turn, event: DialogEvent, state: any): Awaitable<Step>;
}
/** The steps, for dialogs that handle events themselves. */
export const steps: {
  wait(): Step;
  waitFor(...activities: string[]): Step;
  prompt(prompt: Prompt<any>): Step;
  call(dialog: string, options?: unknown): Step;
  replace(dialog: string, options?: unknown): Step;
  done(result?: unknown): Step;
  cancelled(): Step;
  flush(): Step;
  accept(value?: unknown): Step;
  reject(data?: unknown): Step;
  ignored(): Step;
};

export interface DialogOptions {
  /** The version of the state, default 0. Increase it whenever the shape of the state changes. */
  version?: number;
  /** Validators by name. Return true, false, `accept(value)` or `reject(question)`. */
  validators?: Record<string, (check: { value: any; attempt: number }, turn: Turn) => Awaitable<boolean | Step>>;
  /** Runs when the dialog is cancelled from outside. */
  onCancelled?(turn: Turn, reason: "cancel-all" | "replaced"): unknown;
  /** Migrates the state of an older version. If it returns nothing, the host resets the dialog. */
  migrate?(migration: { from: number; to: number; state: any }): unknown;
}
/** Accepts an answer, or accepts another value in its place. */
export function accept(value?: unknown): Step;
/** Rejects an answer. The host asks again, with this question if there is one. */
export function reject(question?: Sendable): Step;

/** The turn inside `d.step`, with a key that stays the same if the step runs again. */
export type Once = Turn & { readonly idempotencyKey: string };

/**
 * The handle of a straight-line dialog. At each event the SDK runs the function again from the start; operations that
 * the journal
 * holds return what was recorded and send nothing.
 */
export interface Dialogue<O = any, S = any> {
  /** What the dialog was begun with. */
  readonly options: O;
  /** What the dialog was restarted with, or what a migration returned. */
  readonly state: S | undefined;
  /** Asks. If the attempts are used up, the dialog ends as cancelled. */
  ask<T>(prompt: Prompt<T>): Promise<T>;
  /** Asks. Returns undefined if the attempts are used up. */
  tryAsk<T>(prompt: Prompt<T>): Promise<T | undefined>;
  /** Runs another dialog. If it is cancelled or fails, this one is cancelled. */
  call<T = any>(dialog: string, options?: unknown): Promise<T>;
  tryCall<T = any>(dialog: string, options?: unknown): Promise<T | undefined>;
  /** Sends a question and returns the next message, whatever it contains. */
  hear(question: Sendable): Promise<Activity>;
  /** Delivers what was sent so far. */
  flush(): Promise<void>;
  send(what: Sendable): string;
  /**
   * Runs a function once and records its result. Use it for state, settings, and everything else outside the dialog.
   */
  step<T>(name: string, run: (once: Once) => Awaitable<T>): Promise<T>;
  now(): Date;
  /** A whole number from 0 to 4294967295, the same in each replay. */
  random(): number;
  /** Restarts the dialog with a state and an empty journal: `return d.restartWith(state)`. */
  restartWith(state: S): Promise<never>;
  /** Ends the dialog and begins another in its place: `return d.replace(…)`. */
  replace(dialog: string, options?: unknown): Promise<never>;
  /** Ends the dialog without a result: `return d.cancel()`. */
  cancel(): Promise<never>;
}
/**
 * Creates a dialog that is one async function, written as if the user answered at once. Its return value is its
 * result.
 */
export function dialog<O = any, S = any>(
  id: string,
  run: (d: Dialogue<O, S>) => Promise<unknown>,
  options?: DialogOptions,
): Dialog;

/** The argument of a step of a waterfall. */
export interface WaterfallStep extends Omit<Turn, "flush"> {
  readonly options: any;
  /** What the step before waited for: an answer, the result of a dialog, or an activity. */
  readonly result: any;
  /** How the wait of the step before ended. */
  readonly outcome: { reason: "completed" | "cancelled" | "failed"; result: any };
  /** Values for later steps. */
  values: Record<string, any>;
  prompt(prompt: Prompt<any>): Step;
  /** Sends a question and waits for a message. After an interruption the question is repeated. */
  wait(question: Sendable): Step;
  call(dialog: string, options?: unknown): Step;
  replace(dialog: string, options?: unknown): Step;
  next(result?: unknown): Step;
  flush(): Step;
  done(result?: unknown): Step;
  cancel(): Step;
}
export type WaterfallFunction = (step: WaterfallStep) => Awaitable<Step>;
/** Marks a step that runs however the wait of the step before ended; see `step.outcome`. */
export function always(run: WaterfallFunction): WaterfallFunction;
/** Creates a dialog of steps that run one after another. */
export function waterfall(id: string, steps: WaterfallFunction[], options?: DialogOptions): Dialog;
