// The chat page: chooses a bot, holds the conversation with it, and shows what happens to both.

import { botDetails, botItems, changes, problemList } from "./page/bots.js";
import { Conversation, randomId } from "./page/client.js";
import { Composer } from "./page/composer.js";
import { el, plain } from "./page/dom.js";
import { Turns, watchBots } from "./page/feed.js";
import { Log } from "./page/log.js";
import { keep, recall, userId } from "./page/session.js";

const TYPING_MS = 4000;
const STATES = {
  connecting: "Connecting…",
  online: "Connected",
  offline: "Connection lost, trying again…",
  ended: "Conversation ended",
  elsewhere: "Open in another tab",
  failed: "Not connected",
};

const $ = (id) => document.getElementById(id);
const user = { id: userId(() => `dl_${randomId()}`), name: "Guest", role: "user" };
const log = new Log($("log"), (activity) => say(activity, []));
const composer = new Composer((activity, files) => say(activity, files));
const turns = new Turns();
let bots = new Map();
let chosen = null;
let conversation = null;
let typingTimer;

$("restart").addEventListener("click", () => beginAnew(chosen));
$("bots-toggle").addEventListener("click", () => showBots($("bots-toggle").getAttribute("aria-expanded") !== "true"));
addEventListener("keydown", (event) => event.key === "Escape" && showBots(false));
addEventListener("online", () => conversation?.hurry());
addEventListener("hashchange", () => choose(wanted()));
composer.enable(false, "Connecting…");
watchBots(onBots, onLost);

function wanted() {
  const name = decodeURIComponent(location.hash.slice(1));
  const first = [...bots.values()].find((bot) => bot.generation != null) ?? bots.values().next().value;
  return bots.has(name) ? name : (first?.name ?? null);
}

function choose(name) {
  showBots(false);
  if (name === chosen) return;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  begin(name);
}

/** Starts a new conversation with a bot, also where there is one. */
function beginAnew(name) {
  keep(name, null);
  return begin(name);
}

/** Goes on with the conversation that this tab had with a bot, or starts a new one. */
async function begin(name) {
  conversation?.close();
  chosen = name;
  renderBots();
  log.clear();
  composer.suggest(null);
  typing(null);
  const bot = bots.get(name);
  if (!bot) return $("log").append(empty("No bot", "The configuration has no bot."));
  const title = bot.title || bot.name;
  $("title").textContent = `Conversation with ${title}`;
  document.title = `${title} – Turntable`;
  const hint = "Say something. Each message shows which plugin answered, and how long that took.";
  $("log").append(empty(title, bot.generation == null ? "A new version is tried as soon as its file changes." : hint));
  const current = new Conversation(name, user, {
    onActivity,
    onState: (state) => conversation === current && onState(state),
    onKept: (kept) => keep(name, kept),
  });
  conversation = current;
  onState("connecting");
  await turns.open(name, (record) => conversation === current && onTurn(record));
  // Another bot may have been chosen meanwhile.
  if (conversation !== current) return undefined;
  const before = recall(name);
  try {
    if (before && (await current.resume(before))) return composer.focus();
    if (conversation !== current) return undefined;
    if (before) log.notice("", "The host no longer knows the conversation of before: it may have restarted. This is a new one.");
    await current.start();
  } catch (error) {
    if (conversation !== current) return undefined;
    onState("failed");
    log.notice("bad", `The conversation did not start: ${error.message}`, again());
  }
  composer.focus();
}

/** Sends an activity, and says beside it where that failed. */
async function say(activity, files) {
  const current = conversation;
  if (!composer.isEnabled) return;
  const clientActivityID = randomId();
  // From these the bot knows how the user writes numbers and when their tomorrow is.
  const place = { locale: navigator.language, localTimezone: Intl.DateTimeFormat().resolvedOptions().timeZone };
  const whole = { ...activity, channelData: { ...activity.channelData, clientActivityID }, ...place };
  const shown = files.map((file) => ({ contentType: file.type, name: file.name }));
  if (files.length > 0) whole.attachments = shown;
  log.pending(whole);
  try {
    await (files.length > 0 ? current.upload(whole, files) : current.send(whole));
  } catch (error) {
    if (current !== conversation) return;
    // The bot has these; sending them again would be another message.
    const isTaken = [502, 504].includes(error.status);
    const why = error.status ? error.message : "The host cannot be reached.";
    log.refused(clientActivityID, undefined, why, isTaken ? null : () => say(activity, files));
  }
}

function onActivity(activity) {
  const isUser = activity.from?.id === user.id;
  if (activity.conversation && activity.conversation.id !== conversation?.id) return;
  if (activity.type === "typing" && !plain(activity.text)) return isUser ? undefined : typing(activity);
  if (!isUser) typing(null);
  log.show(activity, isUser);
  if (activity.type === "message") composer.suggest(isUser ? null : activity);
  if (activity.type === "endOfConversation") log.notice("", "The bot ended the conversation");
}

function onTurn(record) {
  if (record.conversation !== conversation.id) return;
  log.turn(record);
}

function onState(state) {
  $("connection").dataset.state = state;
  $("connection").textContent = STATES[state];
  const anew = "Start a new conversation to go on";
  const places = { online: "Write a message", ended: anew, elsewhere: anew, failed: "Not connected" };
  composer.enable(state === "online", places[state] ?? STATES[state]);
  if (state === "ended") log.notice("", "The host no longer knows this conversation: it may have restarted.", again());
  if (state === "elsewhere") log.notice("", "This conversation goes on in another tab.", again());
}

function onBots(list) {
  const before = bots.get(chosen);
  bots = new Map(list.map((bot) => [bot.name, bot]));
  $("trouble").replaceChildren();
  conversation?.hurry();
  if (!bots.has(chosen)) return begin(wanted());
  const after = bots.get(chosen);
  renderBots();
  if (before) announce(before, after);
}

function onLost() {
  $("trouble").replaceChildren(el("p", { text: "The host cannot be reached. Trying again…" }));
}

/** Says in the conversation what happened to its bot. */
function announce(before, after) {
  if (after.generation != null && after.generation !== before.generation) {
    log.notice("swap", `Generation ${after.generation} took over`, changes(before, after));
  }
  if (after.last_failure && after.last_failure.at !== before.last_failure?.at) {
    log.notice("bad", failureText(after), problemList(after.last_failure));
  }
  if (after.enabled !== before.enabled) log.notice("", after.enabled ? "The bot was enabled" : "The bot was disabled");
}

function failureText(bot) {
  if (bot.generation == null) return "The bot failed to load";
  return `The newest version failed to load; generation ${bot.generation} goes on serving`;
}

function renderBots() {
  const focused = document.activeElement?.dataset?.bot;
  $("bot-list").replaceChildren(...botItems([...bots.values()], chosen, choose));
  if (focused) $("bot-list").querySelector(`[data-bot="${CSS.escape(focused)}"]`)?.focus();
  const bot = bots.get(chosen);
  if (!bot) return $("bot-details").replaceChildren();
  const failure = failureBlock(bot, "h2");
  return $("bot-details").replaceChildren(...[failure, ...botDetails(bot)].filter(Boolean));
}

function showBots(isOpen) {
  const was = $("bots-toggle").getAttribute("aria-expanded") === "true";
  $("bots-toggle").setAttribute("aria-expanded", String(isOpen));
  $("bots").classList.toggle("open", isOpen);
  if (isOpen) $("bot-list").querySelector("[aria-current]")?.focus();
  else if (was) $("bots-toggle").focus();
}

function typing(activity) {
  clearTimeout(typingTimer);
  $("typing").textContent = activity ? `${plain(activity.from?.name) || "The bot"} is typing…` : "";
  if (activity) typingTimer = setTimeout(() => typing(null), TYPING_MS);
}

function empty(title, text) {
  const bot = bots.get(chosen);
  const failure = bot && failureBlock(bot, "h3");
  return el("div", { class: "empty" }, el("p", { class: "empty-title", text: title }), el("p", { text }), failure);
}

function failureBlock(bot, heading) {
  if (!bot.last_failure) return null;
  return el("section", { class: "failure" }, el(heading, { text: failureText(bot) }), problemList(bot.last_failure));
}

function again() {
  return el("button", { type: "button", class: "button", text: "New conversation", click: () => beginAnew(chosen) });
}
