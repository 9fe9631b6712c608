// Elements, made so that nothing a bot says can become markup or an unsafe link.

/**
 * Makes an element. Members of `props` are attributes; `text` is its text, functions are listeners, and false, null and
 * undefined leave an attribute out. Children may be nodes, strings (as text) or nothing.
 */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "text") element.textContent = String(value ?? "");
    else if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  // One by one: a call has a bound of arguments, and bots have none of paragraphs.
  for (const child of children.flat()) if (child != null && child !== false) element.append(child);
  return element;
}

/** Returns the URL where a link may lead to it, else null. Scripts and files of this machine never pass. */
export function linkUrl(text) {
  const url = parse(text);
  return url && ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
}

/** Returns the URL where a picture may come from it, else null. */
export function imageUrl(text) {
  const url = parse(text);
  if (url?.protocol === "data:") return /^data:image\//i.test(url.href) ? url.href : null;
  return url && ["http:", "https:"].includes(url.protocol) ? url.href : null;
}

/** Makes a link to another page, or plain text where the URL is not a safe one. */
export function link(url, ...children) {
  const href = linkUrl(url);
  return href ? el("a", { href, target: "_blank", rel: "noopener noreferrer" }, ...children) : el("span", {}, ...children);
}

/** Makes a picture, or its description where the URL is not a safe one. */
export function image(url, description, className) {
  const src = imageUrl(url);
  if (!src) return el("span", { class: "muted", text: description || "A picture that cannot be shown" });
  return el("img", { src, alt: description ?? "", class: className, loading: "lazy", referrerpolicy: "no-referrer" });
}

/** Makes the block that shows a value as JSON. */
export function json(value, label) {
  return el("pre", { class: "code", tabindex: "0", role: "region", "aria-label": label, text: JSON.stringify(value, null, 2) });
}

/** Returns a value as text, where it is a string, number or boolean. */
export function plain(value) {
  return ["string", "number", "boolean"].includes(typeof value) ? String(value) : "";
}

/** Returns the value where it is an array, else an empty one: bots send anything. */
export function list(value) {
  return Array.isArray(value) ? value.filter((item) => item != null) : [];
}

function parse(text) {
  try {
    return typeof text === "string" ? new URL(text) : null;
  } catch {
    return null;
  }
}
