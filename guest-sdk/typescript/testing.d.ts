// The test host: runs a bot in Node, without WebAssembly, in any test runner.
import type { Activity, BotDefinition, Fault, Flow, Frame, InvokeResponse, Scope, Sendable, Step } from "./index.js";

export interface TestOptions {
  settings?: Record<string, unknown>;
  user?: string;
  conversation?: string;
  channel?: string;
  locale?: string;
  /** Milliseconds since 1970; default: 1 June 2026, noon. Relative dates in prompts count from it. */
  now?: number;
  /** The program `turntable`; default: the variable TURNTABLE, or `turntable` on the PATH. */
  turntable?: string;
}

/** What a turn did. */
export interface TestAnswer {
  flow: Flow;
  /** Why the turn failed. */
  fault?: { code: string; message: string; detail?: string };
  /** What the author's code threw. */
  error?: unknown;
  /** What was sent, with the host ids. */
  sent: { id: string; as: "reply" | "send" | "update" | "delete"; activity: Activity }[];
  messages: Activity[];
  texts: string[];
  response?: InvokeResponse;
  log: { level: string; message: string; fields: Record<string, string> }[];
  /** Notifications and timers. */
  asked: { id: string; name?: string; at?: string; reference: string; mode: string; content: any }[];
  /** The dialog stack, top first. */
  stack: Frame[];
  reprompts: number;
}

/**
 * Runs turns of a bot. State and dialogs last from turn to turn. `turntable testbed` leads the turns, so routes,
 * dialogs and prompts
 * behave as in the host.
 */
export class TestHost {
  /** @param bot the default export of the bot's module. */
  constructor(bot: BotDefinition | (new () => BotDefinition), options?: TestOptions);
  /** Returns a host for another user, conversation or bot, with the same memory. */
  with(options: TestOptions & { bot?: BotDefinition | (new () => BotDefinition) }): TestHost;
  says(text: string, more?: Partial<Activity>): Promise<TestAnswer>;
  takes(activity: Sendable, options?: { trigger?: string }): Promise<TestAnswer>;
  /** Calls a hook of middleware: `receive`, `send`, `update`, `delete` or `turn-end`. */
  hook(kind: string, data: unknown, sender?: string): Promise<{ kind: string; data: any }>;
  stored(scope: Scope, key: string): any;
  store(scope: Scope, key: string, value: unknown): void;
}
