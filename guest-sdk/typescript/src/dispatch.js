// Passes an activity to its handlers.
import { isBot } from "./activity.js";
import { Fault } from "./fault.js";
import * as invokes from "./invoke.js";

/** The handler of each type of activity that needs no further look. */
const SIMPLE = {
  message: "onMessage",
  messageUpdate: "onMessageUpdate",
  messageDelete: "onMessageDelete",
  endOfConversation: "onEndOfConversation",
  typing: "onTyping",
  command: "onCommand",
  commandResult: "onCommandResult",
};
const COMPLEX = { conversationUpdate, messageReaction, event, invoke, installationUpdate };

/** The names of all handlers, for a check of the author's definition. */
export const HANDLERS = [
  ...Object.values(SIMPLE),
  "onTurn",
  "onTurnEnd",
  "onRoute",
  "onConversationUpdate",
  "onMembersAdded",
  "onMembersRemoved",
  "onMessageReaction",
  "onReactionsAdded",
  "onReactionsRemoved",
  "onEvent",
  "onTokenResponse",
  "onInvoke",
  "onAdaptiveCardAction",
  "onSearch",
  "onSignInVerify",
  "onSignInExchange",
  "onInstallationUpdate",
  "onInstallationAdded",
  "onInstallationRemoved",
  "onUnrecognized",
];

/** Runs one turn: the handlers, then `onTurnEnd`. */
export async function run(bot, turn) {
  const flow = bot.onTurn ? await flowOf(bot, "onTurn", turn) : await dispatch(bot, turn);
  if (!bot.onTurnEnd) return flow;
  const last = await bot.onTurnEnd(turn, flow);
  return last === undefined ? flow : checked("onTurnEnd", last);
}

/** Calls the handlers of the turn's activity. Call it if you define `onTurn`. */
export async function dispatch(bot, turn) {
  if (turn.route !== undefined && bot.onRoute) return flowOf(bot, "onRoute", turn, turn.route);
  const type = turn.route === undefined ? turn.activity.type : "message";
  if (Object.hasOwn(COMPLEX, type)) return COMPLEX[type](bot, turn);
  return flowOf(bot, Object.hasOwn(SIMPLE, type) ? SIMPLE[type] : "onUnrecognized", turn);
}

/**
 * Calls a handler. A bot without the handler returns `next`; a handler that returns nothing has handled the activity.
 */
async function flowOf(bot, handler, ...values) {
  if (!bot[handler]) return "next";
  const flow = await bot[handler](...values);
  return flow === undefined ? "handled" : checked(handler, flow);
}

function checked(handler, flow) {
  if (flow === "handled" || flow === "next") return flow;
  throw new Fault(
    "invalid",
    `${handler} returned ${typeof flow === "string" ? `"${flow}"` : typeof flow}; return "handled", "next" or nothing`,
  );
}

async function conversationUpdate(bot, turn) {
  if ((await flowOf(bot, "onConversationUpdate", turn)) === "handled") return "handled";
  const others = (members = []) => members.filter((member) => !isBot(turn.activity, member));
  const added = others(turn.activity.membersAdded);
  if (added.length) return flowOf(bot, "onMembersAdded", turn, added);
  const removed = others(turn.activity.membersRemoved);
  return removed.length ? flowOf(bot, "onMembersRemoved", turn, removed) : "next";
}

async function messageReaction(bot, turn) {
  if ((await flowOf(bot, "onMessageReaction", turn)) === "handled") return "handled";
  const { reactionsAdded = [], reactionsRemoved = [] } = turn.activity;
  const added = reactionsAdded.length ? await flowOf(bot, "onReactionsAdded", turn, reactionsAdded) : "next";
  const removed = reactionsRemoved.length ? await flowOf(bot, "onReactionsRemoved", turn, reactionsRemoved) : "next";
  return added === "handled" ? added : removed;
}

async function event(bot, turn) {
  const flow = await flowOf(bot, "onEvent", turn);
  if (flow === "handled" || turn.activity.name !== "tokens/response") return flow;
  return flowOf(bot, "onTokenResponse", turn, turn.value ?? {});
}

async function invoke(bot, turn) {
  const answer = (await bot.onInvoke?.(turn)) ?? (await namedInvoke(bot, turn));
  if (answer === undefined || answer === null) return "next";
  if (!Number.isInteger(answer.status)) {
    throw new Fault(
      "invalid",
      "a handler of an invoke returned no response; return response.ok(…), { status, body } or nothing",
    );
  }
  turn.respond(answer);
  return "handled";
}

async function namedInvoke(bot, turn) {
  const { name, value } = turn.activity;
  switch (name) {
    case "adaptiveCard/action": {
      if (!bot.onAdaptiveCardAction) return undefined;
      const { action, refused } = invokes.cardAction(value);
      return refused ?? bot.onAdaptiveCardAction(turn, action);
    }
    case "application/search": {
      if (!bot.onSearch) return undefined;
      const { search, refused } = invokes.search(value, turn.meta.channelId);
      return refused ?? bot.onSearch(turn, search);
    }
    case "signin/verifyState":
      return bot.onSignInVerify?.(turn, typeof value?.state === "string" ? value.state : "");
    case "signin/tokenExchange":
      return bot.onSignInExchange?.(turn, value ?? {});
    default:
      return undefined;
  }
}

async function installationUpdate(bot, turn) {
  if ((await flowOf(bot, "onInstallationUpdate", turn)) === "handled") return "handled";
  switch (turn.activity.action) {
    case "add":
    case "add-upgrade":
      return flowOf(bot, "onInstallationAdded", turn);
    case "remove":
    case "remove-upgrade":
      return flowOf(bot, "onInstallationRemoved", turn);
    default:
      return "next";
  }
}
