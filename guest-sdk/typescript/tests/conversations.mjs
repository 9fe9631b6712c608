// Reads tests/guests/parity/conversations.txt; the header of src/conversations.rs beside it explains the format.
import { readFileSync } from "node:fs";

const FILE = new URL("../../../tests/guests/parity/conversations.txt", import.meta.url);

/** Returns every conversation: its title and items, each `{ release }` or `{ activity, answers }`. */
export function conversations() {
  const all = [];
  let about;
  for (const line of readFileSync(FILE, "utf8").split("\n").filter(Boolean)) {
    if (line.startsWith("== ")) {
      about = { channelId: "test", conversation: { id: line.slice(3) } };
      all.push({ title: line.slice(3), items: [] });
      continue;
    }
    const { items } = all.at(-1);
    const [head, rest] = [line.split(" ", 1)[0], line.slice(line.indexOf(" ") + 1)];
    if (head === "-") about = setting(about, rest, items);
    else if (head === "<") items.at(-1).answers.push(line === "<" ? "" : rest);
    else items.push({ activity: sent(about, head, rest), answers: [] });
  }
  return all;
}

function setting(about, line, items) {
  const [name, value] = line.split(" ");
  if (name === "release") items.push({ release: Number(value) });
  if (name === "locale") return { ...about, locale: value };
  if (name === "channel") return { ...about, channelId: value };
  if (name === "group") return { ...about, conversation: { ...about.conversation, isGroup: true } };
  return about;
}

function sent(about, user, said) {
  const [name, mark] = [user.slice(0, -1), user.at(-1)];
  const base = {
    ...about,
    from: { id: name },
    recipient: { id: "bot" },
    localTimestamp: "2026-06-01T12:00:00",
    type: mark === "!" ? "event" : "message",
  };
  if (mark === ">") return { ...base, text: said };
  if (mark === "+") return { ...base, attachments: [{ contentType: said, contentUrl: "https://example.org/file" }] };
  return { ...base, name: said };
}

/** Writes the messages of a turn as the file has them. */
export function written(activity, { messages, fault }) {
  const speaker = activity.from.id;
  const said = messages.map(({ text = "", recipient }) =>
    recipient && recipient.id !== speaker ? `@${recipient.id} ${text}` : text,
  );
  return fault && activity.type === "message" ? ["FAILED", ...said] : said;
}
