// The counterpart of plugins/travel: it books a trip. `tests/spec/travel.rs` holds the same conversations with both.
import {
  attachment,
  choice,
  confirm,
  dateTime,
  defineBot,
  dialog,
  heroCard,
  message,
  number,
  reject,
  text,
  waterfall,
  type Attachment,
  type Dialogue,
  type Turn,
} from "turntable-sdk";

interface Traveller {
  name: string;
  passport: string;
}
interface Trip {
  to: string;
  day: string;
  travellers: Traveller[];
}

const TRIPS = "trips";
const TRAVELLERS_MAX = 4;
/** Wrong answers to one question after which the booking ends. */
const attempts = 5;

const names = (trip: Trip) => trip.travellers.map((traveller) => traveller.name).join(", ");
const line = (trip: Trip) => `${trip.to} on ${trip.day}, for ${names(trip)}`;

function card(trip: Trip) {
  const passports = trip.travellers.map((traveller) => traveller.passport).join(", ");
  const summary = heroCard(`Your trip to ${trip.to}`, {
    subtitle: `On ${trip.day}`,
    text: `For ${names(trip)}. Passports: ${passports}.`,
  });
  return { type: "message", attachments: [summary], summary: line(trip) };
}

const book = dialog(
  "book",
  async (d) => {
    const trip = await plan(d);
    if (!trip) {
      d.send("I did not understand that, so no trip was booked. Say «book» to begin again.");
      return d.cancel();
    }
    d.send(card(trip));
    if (!(await d.ask(confirm("Shall I book it?", { name: "sure", attempts })))) {
      d.send("All right, nothing is booked.");
      return d.cancel();
    }
    await d.step("keep", (once) => once.state.user<Trip[]>(TRIPS).update((trips) => [...trips, trip], []) && null);
    d.send(`Booked: ${line(trip)}.`);
    return trip;
  },
  {
    validators: {
      "not-in-winter": ({ value }) =>
        !["12", "01", "02"].includes(value.value.split("-")[1]) || reject("We do not travel in winter. Another day?"),
    },
    onCancelled: (turn) => turn.reply("No trip was booked."),
  },
);

/** Asks for everything that a trip needs. Returns undefined if the attempts at a question were used up. */
async function plan(d: Dialogue): Promise<Trip | undefined> {
  const destinations = await d.step("destinations", (once) => once.config("destinations", ["Lisbon", "Oslo", "Rome"]));
  const to = await d.tryAsk(
    choice("Where to?", destinations, { name: "to", attempts, retry: "I do not go there. Where to?" }),
  );
  if (!to) return undefined;
  const day = await d.tryAsk(
    dateTime(`When do you want to go to ${to.value}?`, {
      name: "day",
      types: ["date"],
      earliest: "today",
      attempts,
      validator: "not-in-winter",
      retry: "Which day from now on? «2026-12-24» and «tomorrow» both work.",
    }),
  );
  if (!day) return undefined;
  const count = await d.tryAsk(
    number("How many of you are there?", {
      name: "count",
      integer: true,
      min: 1,
      max: TRAVELLERS_MAX,
      attempts,
      retry: `A whole number from 1 to ${TRAVELLERS_MAX}, please.`,
    }),
  );
  if (!count) return undefined;
  const travellers: Traveller[] = [];
  for (let number = 1; number <= count; number += 1) {
    const traveller = await d.tryCall<Traveller>("traveller", { number, of: count });
    if (!traveller) return undefined;
    travellers.push(traveller);
  }
  return { to: to.value, day: day.value, travellers };
}

const traveller = waterfall("traveller", [
  (step) => {
    const { number, of } = step.options;
    const question = of === 1 ? "What is your name?" : `What is the name of traveller ${number}?`;
    return step.prompt(
      text(question, { minLength: 2, maxLength: 80, attempts, retry: "Two letters at least, please." }),
    );
  },
  (step) => {
    step.values.name = step.result;
    return step.prompt(
      attachment(`A picture of the passport of ${step.result}, please.`, {
        contentTypes: ["image/*", "application/pdf"],
        maxCount: 1,
        attempts,
        retry: "One picture or PDF, please.",
      }),
    );
  },
  (step) => {
    const [file]: Attachment[] = step.result;
    return step.done({ name: step.values.name, passport: file?.name ?? file?.contentUrl ?? "received" });
  },
]);

export default defineBot({
  manifest: {
    activities: ["message"],
    wants: { state: ["user"] },
    settings: {
      type: "object",
      additionalProperties: false,
      properties: {
        destinations: {
          type: "array",
          minItems: 1,
          maxItems: 20,
          items: { type: "string", minLength: 1 },
          description: "Where trips go. Default: Lisbon, Oslo and Rome.",
        },
      },
    },
  },
  dialogs: [book, traveller],

  onMessage(turn) {
    switch (turn.spokenText.toLowerCase()) {
      case "book":
      case "book a trip":
        turn.dialogs.begin("book");
        return "handled";
      case "trips":
      case "my trips":
        list(turn);
        return "handled";
      default:
        return "next";
    }
  },
});

/** Lists the trips that the user has booked. */
function list(turn: Turn) {
  const trips = turn.state.user<Trip[]>(TRIPS).get([]);
  if (trips.length) turn.reply(trips.map(line).join("\n\n"));
  else turn.reply(message("You have no trips. Say «book» to book one.", { suggest: ["book"] }));
}
