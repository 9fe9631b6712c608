// The part of Adaptive Cards that bots use most. An element of another type shows its fallback text, or its type.

import { factList } from "./cards.js";
import { el, image, link, list, plain } from "./dom.js";
import { markdown } from "./markdown.js";

/** Cards are nested by their authors, not by us: deeper than this is no card. */
const DEPTH_MAX = 16;

/** Makes an Adaptive Card as a form; `act(activity)` sends what its buttons submit. */
export function adaptiveCard(card, act) {
  const form = el("form", { class: "card adaptive" });
  const scope = { form, act };
  form.append(...elements(card.body, scope, 0), ...actions(card.actions, scope));
  form.addEventListener("submit", (event) => event.preventDefault());
  return form;
}

function elements(items, scope, depth) {
  if (depth > DEPTH_MAX) return [];
  return list(items).filter((item) => item.isVisible !== false).map((item) => element(item, scope, depth));
}

function element(item, scope, depth) {
  switch (item.type) {
    case "TextBlock":
      return textBlock(item);
    case "RichTextBlock":
      return el("p", {}, list(item.inlines).map((run) => el("span", { text: plain(run.text ?? run) })));
    case "Image":
      return image(item.url, plain(item.altText), `picture ${size(item.size)}`);
    case "ImageSet":
      return el("div", { class: "image-set" }, list(item.images).map(smallPicture));
    case "FactSet":
      return factList(list(item.facts).map((fact) => [plain(fact.title), plain(fact.value)]));
    case "Container":
      return el("div", { class: "container" }, elements(item.items, scope, depth + 1));
    case "ColumnSet":
      return el("div", { class: "columns" }, list(item.columns).map((column) => columnBlock(column, scope, depth + 1)));
    case "ActionSet":
      return el("div", {}, actions(item.actions, scope));
    case "Input.Text":
      return input(item, item.isMultiline ? el("textarea", { rows: "3" }) : el("input", { type: textType(item.style) }));
    case "Input.Number":
      return input(item, el("input", { type: "number", min: item.min, max: item.max }));
    case "Input.Date":
    case "Input.Time":
      return input(item, el("input", { type: item.type.slice("Input.".length).toLowerCase() }));
    case "Input.Toggle":
      return toggle(item);
    case "Input.ChoiceSet":
      return choices(item);
    default:
      return unknown(item);
  }
}

function unknown(item) {
  const text = plain(item.fallbackText) || `${plain(item.type) || "An element"} is not rendered here; see the JSON.`;
  return el("p", { class: "muted", text });
}

function smallPicture(item) {
  return image(item.url, plain(item.altText), "picture small");
}

function textBlock(item) {
  const isHeading = item.style === "heading" || ["large", "extraLarge", "medium"].includes(item.size);
  const isBold = isHeading || item.weight === "bolder";
  const classes = ["text-block markdown", isBold && "bold", item.isSubtle && "muted", isHeading && size(item.size)];
  return el("div", { class: classes.filter(Boolean).join(" ") }, markdown(plain(item.text)));
}

function columnBlock(column, scope, depth) {
  return el("div", { class: column.width === "auto" ? "column auto" : "column" }, elements(column.items, scope, depth));
}

function size(name) {
  return ["small", "medium", "large", "extraLarge"].includes(name) ? name.toLowerCase() : "";
}

function textType(style) {
  return ["email", "tel", "url", "password"].includes(style) ? style : "text";
}

function input(item, control) {
  control.name = plain(item.id);
  control.value = plain(item.value);
  control.required = item.isRequired === true;
  if (item.placeholder) control.placeholder = plain(item.placeholder);
  const label = plain(item.label);
  if (!label) control.setAttribute("aria-label", plain(item.placeholder) || plain(item.id));
  return el("label", { class: "field" }, label && el("span", { text: label }), control);
}

function toggle(item) {
  const box = el("input", { type: "checkbox", name: plain(item.id) });
  const [on, off] = [plain(item.valueOn) || "true", plain(item.valueOff) || "false"];
  box.checked = plain(item.value) === on;
  box.required = item.isRequired === true;
  Object.assign(box.dataset, { on, off });
  return el("label", { class: "choice" }, box, el("span", { text: plain(item.title) || plain(item.label) }));
}

function choices(item) {
  const chosen = plain(item.value).split(",");
  const choice = ({ title, value }) => ({ title: plain(title), value: plain(value) });
  const options = list(item.choices).map(choice);
  if (item.style !== "expanded" && !item.isMultiSelect) {
    const rows = options.map(({ title, value }) => el("option", { value, text: title }));
    return input(item, el("select", {}, el("option", { value: "", text: plain(item.placeholder) || "Choose…" }), rows));
  }
  const type = item.isMultiSelect ? "checkbox" : "radio";
  const rows = options.map(({ title, value }) => {
    const control = el("input", { type, name: plain(item.id), value, checked: chosen.includes(value) });
    if (item.isMultiSelect) control.dataset.multi = "";
    return el("label", { class: "choice" }, control, el("span", { text: title }));
  });
  return el("fieldset", { class: "field" }, el("legend", { text: plain(item.label) || plain(item.id) }), rows);
}

function actions(items, scope) {
  const buttons = list(items).map((action) => actionButton(action, scope));
  return buttons.length > 0 ? [el("div", { class: "actions" }, buttons)] : [];
}

function actionButton(action, { form, act }) {
  const title = plain(action.title) || "Send";
  switch (action.type) {
    case "Action.OpenUrl": {
      const anchor = link(action.url, title);
      anchor.className = "button";
      return anchor;
    }
    case "Action.Submit":
      return el("button", { type: "button", text: title, click: () => form.reportValidity() && act(submission(action.data, form)) });
    default:
      return el("button", { type: "button", disabled: true, title: `${plain(action.type)} is not supported here`, text: title });
  }
}

/** Returns the message of `Action.Submit`: text where there is only that, else a value with every input in it. */
function submission(data, form) {
  const inputs = values(form);
  const channelData = { postBack: true };
  if (typeof data === "string" && Object.keys(inputs).length === 0) return { type: "message", text: data, channelData };
  const own = data && typeof data === "object" ? data : {};
  return { type: "message", value: { ...own, ...inputs }, channelData };
}

function values(form) {
  const values = {};
  for (const control of form.elements) {
    const { name, type, checked, value, dataset } = control;
    if (!name) continue;
    if ("on" in dataset) values[name] = checked ? dataset.on : dataset.off;
    else if ("multi" in dataset) values[name] = [values[name], checked && value].filter(Boolean).join(",");
    else if (type !== "radio") values[name] = value;
    else if (checked) values[name] = value;
  }
  return values;
}
