// Prompts: questions that the host asks and whose answers it recognizes and validates, in the user's language.
import { toActivity } from "./activity.js";
import { hash } from "./dialog/hash.js";

/** The members of `prompt.schema.json` that the options of every prompt may set. */
const COMMON = { retry: "retry", attempts: "attempts", validator: "validator", locale: "locale" };
const KINDS = {
  text: { minLength: "min-length", maxLength: "max-length", pattern: "pattern" },
  number: { min: "min", max: "max", integer: "integer" },
  confirm: { choices: "choices", style: "style" },
  choice: { choices: "choices", style: "style", ordinals: "ordinals", fuzzy: "fuzzy" },
  "date-time": {
    types: "types",
    earliest: "earliest",
    latest: "latest",
    timeZone: "time-zone",
    dateOrder: "date-order",
  },
  attachment: { contentTypes: "content-types", maxCount: "max-count" },
};

/** A question with its definition (`prompt.schema.json`) and the name that identifies it in a journal. */
export class Prompt {
  constructor(kind, question, { name, ...options } = {}) {
    this.definition = { kind, prompt: say(question) };
    this.name = name;
    const known = { ...COMMON, ...KINDS[kind] };
    for (const [option, value] of Object.entries(options)) {
      if (!(option in known))
        throw new TypeError(
          `a prompt of kind ${kind} has no option \`${option}\`; it has name, ${Object.keys(known).join(", ")}`,
        );
      if (value !== undefined) this.definition[known[option]] = option === "retry" ? say(value) : plain(option, value);
    }
  }

  /** The key of this question in a journal. */
  key() {
    const { kind, prompt } = this.definition;
    return this.name === undefined ? `${kind}#${hash(JSON.stringify(prompt))}` : `${kind}:${this.name}`;
  }
}

export const text = (question, options) => new Prompt("text", question, options);
export const number = (question, options) => new Prompt("number", question, options);
export const confirm = (question, { words, ...options } = {}) =>
  new Prompt("confirm", question, { choices: words, ...options });
export const choice = (question, choices, options) => new Prompt("choice", question, { choices, ...options });
export const dateTime = (question, options) => new Prompt("date-time", question, options);
export const attachment = (question, options) => new Prompt("attachment", question, options);

function plain(option, value) {
  return option === "pattern" && value instanceof RegExp ? value.source : value;
}

/** Writes a question that has only a text as a string, because that is shorter in a stored frame. */
export function say(question) {
  const activity = toActivity(question);
  const isText = activity.type === "message" && typeof activity.text === "string" && Object.keys(activity).length === 2;
  return isText ? activity.text : activity;
}
