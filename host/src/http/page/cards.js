// Attachments: pictures, files, cards. What the page cannot render it names, and the JSON view shows it.

import { adaptiveCard } from "./adaptive.js";
import { el, image, link, list, plain } from "./dom.js";
import { markdown } from "./markdown.js";

const CARD = "application/vnd.microsoft.card.";

/** Makes the attachments of an activity. `act(activity)` sends what a button asks for. */
export function attachments(activity, act) {
  const items = list(activity.attachments).map((attachment) => el("li", {}, content(attachment, act)));
  if (items.length === 0) return null;
  const isCarousel = activity.attachmentLayout === "carousel" && items.length > 1;
  return el("ul", { class: isCarousel ? "attachments carousel" : "attachments" }, items);
}

/** Makes the button of a card action or a suggested action. */
export function actionButton(action, act) {
  const title = plain(action.title) || plain(action.text) || plain(action.value) || "Button";
  if (["openUrl", "showImage", "downloadFile", "playAudio", "playVideo", "signin"].includes(action.type)) {
    const anchor = link(action.value, title);
    anchor.className = "button";
    return anchor;
  }
  const activity = toActivity(action);
  if (!activity) return el("button", { type: "button", disabled: true, title: `${plain(action.type)} is not supported here`, text: title });
  return el("button", { type: "button", click: () => act(activity) }, action.image && image(action.image, "", "icon"), title);
}

function toActivity({ type, value, text, displayText, title }) {
  const said = typeof value === "string" ? { text: value } : { value };
  switch (type) {
    case "imBack":
      return { type: "message", text: plain(value) || plain(title) };
    case "postBack":
      return { type: "message", ...said, channelData: { postBack: true } };
    case "messageBack":
      return { type: "message", text: plain(text), value, channelData: { messageBack: { displayText: plain(displayText) } } };
    default:
      return null;
  }
}

function content(attachment, act) {
  const type = plain(attachment.contentType);
  if (type === `${CARD}adaptive`) return adaptiveCard(attachment.content ?? {}, act);
  if (type.startsWith(CARD)) return card(type.slice(CARD.length), attachment.content ?? {}, act);
  const name = plain(attachment.name) || "file";
  if (type.startsWith("image/")) return image(attachment.contentUrl, name, "picture");
  const file = link(attachment.contentUrl, el("span", { text: name }), el("span", { class: "muted", text: type }));
  file.className = "file";
  return file;
}

function card(kind, content, act) {
  const pictures = list(content.images ?? content.image).concat(content.image?.url ? [content.image] : []);
  const known = ["hero", "thumbnail", "signin", "receipt", "audio", "video", "animation"].includes(kind);
  return el(
    "article",
    { class: kind === "thumbnail" ? "card thumbnail" : "card" },
    pictures.map((picture) => image(picture.url, plain(picture.alt), "card-picture")),
    el(
      "div",
      { class: "card-text" },
      plain(content.title) && el("h3", { text: plain(content.title) }),
      plain(content.subtitle) && el("p", { class: "muted", text: plain(content.subtitle) }),
      plain(content.text) && el("div", { class: "markdown" }, markdown(plain(content.text))),
      list(content.facts).length > 0 && factList(content.facts.map((fact) => [plain(fact.key), plain(fact.value)])),
      list(content.media).map((medium) => el("p", {}, link(medium.url, plain(medium.url)))),
      !known && el("p", { class: "muted", text: `A card of type ${kind}, which this page does not render; see its JSON.` }),
    ),
    list(content.buttons).length > 0 && el("div", { class: "actions" }, list(content.buttons).map((action) => actionButton(action, act))),
  );
}

/** Makes a list of names and values. */
export function factList(rows) {
  return el("dl", { class: "card-facts" }, rows.map(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));
}
