// Builders of activities. An activity is a plain object; members that this file does not know are kept.

/** Creates a message. `more` has further members of the activity, such as `attachments` or `speak`. */
export function message(text, more = {}) {
  const { suggest, ...members } = more;
  const activity = { type: "message", text, ...members };
  if (suggest) activity.suggestedActions = { to: [], actions: suggest.map(action) };
  return activity;
}

/** Creates an activity of any type. */
export const activity = (type, more = {}) => ({ type, ...more });

/** Creates an event. */
export const event = (name, value) => ({ type: "event", name, value });

/** Creates a button. A text is a button that sends the text as a message of the user. */
export function action(button) {
  return typeof button === "string" ? { type: "imBack", title: button, value: button } : button;
}

/** Creates an attachment with an adaptive card. */
export const adaptiveCard = (content) => ({ contentType: "application/vnd.microsoft.card.adaptive", content });

/** Creates an attachment with a hero card. */
export function heroCard(title, { subtitle, text, images = [], buttons = [] } = {}) {
  const content = {
    title,
    ...(subtitle === undefined ? {} : { subtitle }),
    ...(text === undefined ? {} : { text }),
    ...(images.length ? { images: images.map((image) => (typeof image === "string" ? { url: image } : image)) } : {}),
    ...(buttons.length ? { buttons: buttons.map(action) } : {}),
  };
  return { contentType: "application/vnd.microsoft.card.hero", content };
}

/** Creates an attachment with a file. */
export const file = (contentType, contentUrl, name) => ({
  contentType,
  contentUrl,
  ...(name === undefined ? {} : { name }),
});

/** Creates a mention of an account, for `entities`. The text of the message must contain `mention.text`. */
export const mention = (account) => ({
  type: "mention",
  mentioned: account,
  text: `<at>${account.name ?? account.id}</at>`,
});

/** Returns the activity for what `turn.reply` accepts: a text, an attachment or an activity. */
export function toActivity(what) {
  if (typeof what === "string") return message(what);
  if (what === null || typeof what !== "object" || Array.isArray(what)) {
    const kind = what === null ? "null" : Array.isArray(what) ? "an array" : typeof what;
    throw new TypeError(`${kind} is not an activity; pass a text, an attachment or an object with a \`type\``);
  }
  if (typeof what.type !== "string" && typeof what.contentType === "string") {
    return { type: "message", attachments: [what] };
  }
  return what;
}

/** Returns true if the account is the bot that the activity was sent to. */
export const isBot = (incoming, account) => account?.id !== undefined && account.id === incoming.recipient?.id;

/** Returns the text of a message without mentions of its recipient. */
export function textWithoutRecipient(incoming) {
  const own = (incoming.entities ?? []).filter(
    (entity) => entity?.type === "mention" && isBot(incoming, entity.mentioned),
  );
  return own
    .reduce((text, { text: mentioned }) => (mentioned ? text.split(mentioned).join("") : text), incoming.text ?? "")
    .trim();
}
