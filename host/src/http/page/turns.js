// What a turn did, shown beside the message that caused it.

import { el, json } from "./dom.js";

/** Outcomes of a plugin call, in words. Those without `bad` are ordinary. */
const OUTCOMES = {
  handled: { text: "answered" },
  "passed-on": { text: "passed on" },
  "guest-fault": { text: "returned a fault", bad: true },
  trap: { text: "trapped", bad: true },
  "cpu-budget": { text: "used up its CPU budget", bad: true },
  "wall-clock": { text: "took too long", bad: true },
  memory: { text: "used up its memory", bad: true },
  "host-call-limit": { text: "exceeded a host-call limit", bad: true },
  "host-failure": { text: "could not run: the host failed", bad: true },
};

/** Returns a digest short enough to read: its first seven hexadecimal digits. */
export function shortDigest(digest) {
  return (digest ?? "").replace(/^sha256:/, "").slice(0, 7);
}

/** Whether a turn, or a plugin in it, went wrong. */
export function failed(record) {
  return record.outcome !== "completed" || record.calls.some((call) => outcome(call).bad);
}

/**
 * Makes the summary of a turn, which unfolds into everything known of it. What went wrong is unfolded. `lead` says what
 * the turn was about, where no message beside it does.
 */
export function turnBlock(record, lead) {
  const bad = failed(record);
  return el(
    "details",
    { class: bad ? "turn bad" : "turn", open: bad },
    el("summary", {}, lead && el("span", { text: lead }), summary(record)),
    el("div", { class: "turn-body" }, record.calls.map(callBlock), facts(record), raw(record)),
  );
}

function summary(record) {
  const call = record.calls.find((call) => outcome(call).bad) ?? record.calls.findLast((call) => call.outcome === "handled");
  const time = el("span", { class: "muted", text: duration(record.duration_us) });
  if (!call) {
    const passed = record.calls.map(({ plugin }) => plugin).join(", ");
    const completed = passed ? `${passed} passed on` : "No plugin was asked";
    const text = record.outcome === "completed" ? completed : `The turn ended: ${record.outcome}`;
    return [el("strong", { text }), time];
  }
  const { bad, text } = outcome(call);
  return [
    el("strong", { text: bad ? `${call.plugin} ${text}` : call.plugin }),
    el("code", { title: call.digest, text: shortDigest(call.digest) }),
    time,
  ];
}

function callBlock(call) {
  const { bad, text } = outcome(call);
  return el(
    "section",
    { class: bad ? "call bad" : "call" },
    el(
      "p",
      { class: "call-line" },
      el("strong", { text: call.plugin }),
      el("code", { title: call.digest, text: shortDigest(call.digest) }),
      el("span", { class: bad ? "badge bad" : "badge", title: call.outcome, text }),
      call.trigger !== "activity" && el("span", { class: "muted", text: call.trigger.replace(":", " ") }),
      el("span", { class: "muted", text: `${duration(call.duration_us)}, CPU ${duration(call.cpu_us)}` }),
    ),
    call.error && block("Error", call.error, "error"),
    call.stderr && block("End of stderr", call.stderr),
    call.backtrace && block("Backtrace", call.backtrace),
    call.http.length > 0 && el("ul", { class: "logs", "aria-label": "HTTP requests of the plugin" }, call.http.map(requestLine)),
    call.logs.length > 0 && el("ul", { class: "logs", "aria-label": "Log of the plugin" }, call.logs.map(logLine)),
  );
}

function block(title, text, className = "") {
  return el(
    "figure",
    { class: `text ${className}` },
    el("figcaption", { text: title }),
    el("pre", { class: "code", tabindex: "0", role: "region", "aria-label": title, text: text.replace(/^\s*\n|\s+$/g, "") }),
  );
}

function logLine(line) {
  const [, level, rest] = /^(\w+) ?(.*)$/s.exec(line) ?? [null, "", line];
  return el("li", { "data-level": level.toLowerCase() }, el("span", { class: "level", text: level }), rest);
}

function requestLine({ outcome, method, origin, path, status, why, duration_us }) {
  const end = why ?? [status, duration(duration_us)].filter(Boolean).join(", ");
  const level = why ? "warn" : "info";
  return el("li", { "data-level": level }, el("span", { class: "level", text: outcome }), `${method} ${origin}${path}: ${end}`);
}

function facts(record) {
  const rows = [
    ["Waited", duration(record.queued_us)],
    ["Turn", duration(record.duration_us)],
    ["Generation", record.generation],
    ["Outcome", record.outcome],
    ["Status", record.status],
    ["Sent", record.sent.length],
    ["Turn id", record.turn_id],
  ];
  return el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value }))));
}

function raw(record) {
  const details = el("details", { class: "raw" }, el("summary", { text: "Turn record as JSON" }));
  // Made when somebody looks.
  details.addEventListener("toggle", () => details.childElementCount === 1 && details.append(json(record, "Turn record")));
  return details;
}

function outcome(call) {
  return OUTCOMES[call.outcome] ?? { text: call.outcome, bad: true };
}

/** Returns microseconds in the unit that reads best. */
export function duration(microseconds) {
  if (microseconds < 1000) return `${microseconds} µs`;
  const milliseconds = microseconds / 1000;
  if (milliseconds < 1000) return `${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
