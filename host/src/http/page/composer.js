// Where the user writes: text, files, suggested answers.

import { actionButton } from "./cards.js";
import { el, list } from "./dom.js";

export class Composer {
  #form = document.getElementById("composer");
  #text = document.getElementById("text");
  #input = document.getElementById("file");
  #list = document.getElementById("files");
  #suggestions = document.getElementById("suggestions");
  #files = [];
  #act;

  /** `act(activity, files)` sends what the user wants to say. */
  constructor(act) {
    this.#act = act;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method composes, Enter belongs to it.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#fit());
    this.#input.addEventListener("change", () => {
      this.#files.push(...this.#input.files);
      this.#input.value = "";
      this.#showFiles();
      this.focus();
    });
  }

  focus() {
    this.#text.focus();
  }

  /** Says whether anything can be sent now. What was written stays. */
  enable(isEnabled, placeholder) {
    document.getElementById("send").disabled = !isEnabled;
    this.#input.disabled = !isEnabled;
    this.#text.placeholder = placeholder;
    this.isEnabled = isEnabled;
  }

  /** Offers the suggested actions of an activity; none where it has none. */
  suggest(activity) {
    const act = (reply) => {
      this.suggest(null);
      this.#act(reply, []);
      this.focus();
    };
    const buttons = list(activity?.suggestedActions?.actions).map((action) => actionButton(action, act));
    this.#suggestions.replaceChildren(...buttons);
    this.#suggestions.hidden = buttons.length === 0;
  }

  #submit() {
    const text = this.#text.value.trim();
    if (!this.isEnabled || (!text && this.#files.length === 0)) return;
    const files = this.#files;
    this.#files = [];
    this.#text.value = "";
    this.#fit();
    this.#showFiles();
    this.suggest(null);
    this.#act({ type: "message", ...(text && { text }) }, files);
  }

  #fit() {
    this.#text.style.height = "auto";
    this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  #showFiles() {
    const remove = (file) => {
      this.#files = this.#files.filter((other) => other !== file);
      this.#showFiles();
      this.focus();
    };
    const item = (file) => {
      const label = `Remove ${file.name}`;
      const button = el("button", { type: "button", class: "link", "aria-label": label, text: "×", click: () => remove(file) });
      return el("li", {}, file.name, button);
    };
    this.#list.replaceChildren(...this.#files.map(item));
    this.#list.hidden = this.#files.length === 0;
  }
}
