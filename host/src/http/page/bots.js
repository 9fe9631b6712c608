// The list of bots, and what is known of the chosen one.

import { el } from "./dom.js";
import { shortDigest } from "./turns.js";

/** How a bot is doing, for a dot and for people who do not see it. */
export function health(bot) {
  if (!bot.enabled) return { state: "off", text: "disabled" };
  if (bot.generation == null) return { state: "bad", text: "not loaded" };
  if (bot.last_failure) return { state: "warn", text: "newest version failed to load" };
  return { state: "good", text: `generation ${bot.generation}` };
}

/** Makes the entries of the list. `choose(name)` is called for the one that is pressed. */
export function botItems(bots, chosen, choose) {
  return bots.map((bot) => {
    const { state, text } = health(bot);
    const button = el(
      "button",
      { type: "button", "data-bot": bot.name, "aria-current": bot.name === chosen ? "true" : false, click: () => choose(bot.name) },
      el("span", { class: "dot", "data-state": state, "aria-hidden": "true" }),
      el("span", { class: "bot-name", text: bot.title || bot.name }),
      el("span", { class: "bot-state", text }),
    );
    return el("li", {}, button);
  });
}

/** Makes the details of a bot: its plugins in order, and why its newest version does not serve. */
export function botDetails(bot) {
  return [
    el("h2", { class: "label", text: "Plugins" }),
    el("ol", { class: "plugins" }, bot.plugins.map(pluginItem)),
    bot.serving_since && el("p", { class: "muted small" }, "Serving since ", moment(bot.serving_since)),
  ].filter(Boolean);
}

/** Makes the list of what kept a version from loading. */
export function problemList(failure) {
  return el("ul", { class: "problems" }, failure.problems.map((text) => el("li", { text })));
}

/** Makes the list of plugins whose component changed between two states of a bot. */
export function changes(before, after) {
  const old = new Map(before.plugins.map(({ name, digest }) => [name, digest]));
  const rows = after.plugins.filter(({ name, digest }) => old.get(name) !== digest);
  const code = (digest) => el("code", { title: digest ?? "", text: shortDigest(digest) || "none" });
  const item = ({ name, digest }) => el("li", {}, `${name} `, code(old.get(name)), " → ", code(digest));
  return rows.length > 0 && el("ul", { class: "changes" }, rows.map(item));
}

function pluginItem(plugin) {
  const { name, digest, describes, bytes, source } = plugin;
  const code = el("code", { title: digest ?? "", text: shortDigest(digest) || "not loaded" });
  const about = [describes, bytes != null && size(bytes), source === "deploy" && "deployed"].filter(Boolean).join(" · ");
  const more = digest && el("p", { class: "muted small", text: about });
  return el("li", {}, el("p", {}, el("strong", { text: name }), code), more);
}

function moment(text) {
  const time = new Date(text);
  return el("time", { datetime: text, text: Number.isNaN(time.getTime()) ? text : time.toLocaleTimeString() });
}

function size(bytes) {
  return bytes < 1024 * 1024 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
