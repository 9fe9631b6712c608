// The counterpart of tests/guests/parity/src/lib.rs, which holds the same conversations in Rust.
import {
  Fault,
  accept,
  always,
  attachment,
  choice,
  confirm,
  dateTime,
  defineBot,
  dialog,
  number,
  reject,
  steps,
  text,
  waterfall,
  type BotDefinition,
  type Dialog,
  type Prompt,
  type Step,
} from "turntable-sdk";

/** Returns the bot of a release of the plugin. */
export function bot(release: number): BotDefinition {
  return defineBot({
    manifest: {
      name: "parity",
      routes: [
        { name: "help", pattern: "help" },
        { name: "quiet", pattern: "quiet", after: "none" },
        { name: "aside", pattern: "aside" },
        { name: "again", pattern: "again", after: "none" },
        { name: "cancel", pattern: "cancel" },
        { name: "leave", pattern: "leave", confirm: "Leave it?" },
        { name: "stack", pattern: "stack", after: "none" },
      ],
    },
    dialogs: [order, trip, ...small, ...prompts, ...versioned(release)],

    onMessage(turn) {
      const [command, dialog = ""] = turn.text.split(/ (.*)/s);
      if (command === "begin") turn.dialogs.begin(dialog, { by: "message" });
      else if (command === "replace") turn.dialogs.replace(dialog);
      else if (command === "fault") throw Fault.internal("broken");
      else turn.reply(`heard ${turn.text}`);
    },

    onEvent(turn) {
      turn.reply(`event ${turn.activity.name ?? ""}`);
    },

    onRoute(turn, name) {
      if (name === "aside") turn.dialogs.begin("aside");
      else if (name === "again") turn.reply(String(turn.dialogs.reprompt()));
      else if (name === "cancel" || name === "leave") turn.reply(`cancelled ${turn.dialogs.cancelAll()}`);
      else if (name === "stack")
        turn.reply(
          turn.dialogs
            .frames()
            .map((it) => `${it.dialog}:${it.waitsFor}`)
            .join(" "),
        );
      else turn.reply(name);
    },
  });
}

const order = waterfall(
  "order",
  [
    (step) => step.prompt(text("What?")),
    (step) => {
      step.values.what = step.result;
      return step.prompt(number("How many?", { integer: true, min: 1, retry: "A number from 1.", validator: "even" }));
    },
    (step) => {
      step.reply(`${step.result} ${step.values.what} by ${JSON.stringify(step.options.by)}`);
      return step.done(step.result);
    },
  ],
  {
    validators: {
      even: ({ value, attempt }) =>
        value === 11 ? accept(12) : value % 2 === 0 || reject(`${value} is odd (${attempt})`),
    },
    onCancelled: (turn, reason) => turn.reply(`no order: ${reason}`),
  },
);

const trip = dialog(
  "trip",
  async (d) => {
    d.send("Welcome.");
    const to = await d.ask(text("Where to?", { name: "to", validator: "city" }));
    const seats = await d.tryCall<number>("seats");
    const code = await d.hear("What is your code?");
    await d.flush();
    d.send(`${seats === undefined ? "None" : `Some(${seats})`} to ${to}, ${code.text ?? ""}`);
    return (await d.ask(confirm("Sure?"))) ? to : d.cancel();
  },
  { validators: { city: ({ value }) => value !== "Nowhere" || reject("Where is that?") } },
);

const small: Dialog[] = [
  dialog("seats", (d) => d.ask(number("How many seats?", { integer: true, min: 1, attempts: 2 }))),
  waterfall("aside", [(step) => step.wait("aside?")]),
  waterfall("parent", [
    (step) => step.call("aside"),
    always((step) => {
      step.reply(`child ${step.outcome.reason}`);
      return step.done();
    }),
  ]),
  waterfall("guards", [(step) => step.call("fails"), always((step) => step.wait(`child ${step.outcome.reason}`))]),
  waterfall("hands-over", [(step) => step.replace("aside")]),
  waterfall("fails", [
    (step) => step.wait("say something"),
    () => {
      throw Fault.internal("broken");
    },
  ]),
  waterfall("flushes", [
    (step) => {
      step.reply("first");
      return step.flush();
    },
    (step) => step.wait("second"),
  ]),
  waterfall("endless", [(step) => step.replace("endless")]),
  waterfall("recursive", [(step) => step.call("recursive")]),
  {
    id: "listens",
    onEvent(turn, event): Step {
      if (event.kind === "begin" || event.kind === "reprompt") return steps.waitFor("event");
      if (event.kind !== "continue") return steps.ignored();
      turn.reply(`listens to ${turn.activity.type}`);
      return steps.done();
    },
  },
  { id: "ignores", onEvent: (_, event) => (event.kind === "begin" ? steps.wait() : steps.ignored()) },
];

/** A dialog that asks one question and says what the host made of the answer. */
const asks = (id: string, prompt: () => Prompt<any>): Dialog =>
  waterfall(id, [
    (step) => step.prompt(prompt()),
    always((step) => {
      step.reply(`${step.outcome.reason} ${written(step.outcome.result)}`);
      return step.done();
    }),
  ]);

/** JavaScript has one type of numbers, and the conversations are written as Rust writes them. */
const written = (value: any) => JSON.stringify(value).replace(/"score":1,/, '"score":1.0,');

const prompts: Dialog[] = [
  asks("text", () => text("Code?", { pattern: /[A-Z]{2}/, retry: "Two letters.", attempts: 3 })),
  asks("name", () => text("Name?", { minLength: 2, maxLength: 5 })),
  asks("number", () => number("How much?", { min: 0.5, max: 9, attempts: 2 })),
  asks("confirm", () => confirm("Sure?")),
  asks("colour", () => choice("Which?", ["red", { value: "dark green", synonyms: ["grass"] }, "blue"])),
  asks("when", () => dateTime("When?", { earliest: "today" })),
  asks("day", () => dateTime("Which day?", { types: ["date"] })),
  asks("picture", () => attachment("A picture?", { contentTypes: ["image/*"], maxCount: 1 })),
  asks("no-choices", () => choice("which?", [])),
];

/** Dialogs whose state has another shape in release 2, and which release 3 has no more. */
function versioned(release: number): Dialog[] {
  if (release === 3) return [];
  const steps = (id: string, migrate?: (old: { from: number; to: number; state: any }) => unknown) =>
    waterfall(
      id,
      [
        (step) => step.prompt(text("Which city?")),
        (step) => {
          step.values.city = step.result;
          return step.wait("Anything else?");
        },
        (step) => {
          step.reply(step.values[release === 1 ? "city" : "town"]);
          return step.done();
        },
      ],
      { version: release, migrate },
    );
  const edited = dialog("edited", async (d) => {
    const name = await d.ask(text("Who?", { name: "name" }));
    await d.ask(text(release === 1 ? "Where?" : "Where to?"));
    d.send(`${name} goes.`);
  });
  return [
    steps("migrates", ({ from, to, state }) => ({ town: `${state.city} (${from} to ${to})` })),
    steps("gives-up", () => undefined),
    steps("no-hook"),
    edited,
  ];
}
