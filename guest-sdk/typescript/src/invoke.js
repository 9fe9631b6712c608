// Responses to invokes, and the invokes that have handlers of their own.

const typed = (status, kind, value) => ({ status, body: { statusCode: status, type: kind, value } });

/** Builders of responses to invokes. A response is `{ status, body }`. */
export const response = {
  status: (status) => ({ status }),
  ok: (body) => ({ status: 200, body }),
  card: (card) => typed(200, "application/vnd.microsoft.card.adaptive", card),
  message: (text) => typed(200, "application/vnd.microsoft.activity.message", text),
  results: (results) => typed(200, "application/vnd.microsoft.search.searchResponse", { results }),
  error: (status, code, message) => typed(status, "application/vnd.microsoft.error", { code, message }),
};

/** Reads the value of `adaptiveCard/action`: `{ action }`, or `{ refused }` with the response for a wrong value. */
export function cardAction(value) {
  const action = value?.action;
  if (action === null || typeof action !== "object" || Array.isArray(action)) {
    return { refused: response.error(400, "BadRequest", "the value has no object `action`") };
  }
  if (action.type !== "Action.Execute") {
    return {
      refused: response.error(400, "NotSupported", `the action type \`${action.type ?? ""}\` is not supported`),
    };
  }
  return { action };
}

/** Reads the value of `application/search`: `{ search }`, or `{ refused }` with the response for a wrong value. */
export function search(value, channel) {
  const missing = (what) => ({ refused: response.error(400, "BadRequest", `the value has no ${what}`) });
  if (value === null || typeof value !== "object" || Array.isArray(value)) return missing("object");
  const kind = value.kind || (channel === "msteams" ? "search" : "");
  if (!kind) return missing("`kind`");
  if (!value.queryText) return missing("`queryText`");
  return { search: { ...value, kind } };
}
