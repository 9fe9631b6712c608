//! Invokes: activities whose sender waits for the response.

use serde_json::{Value, json};

use crate::activity::wire::object;

/// The response to an invoke: an HTTP status and an optional JSON body.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeResponse {
    /// The HTTP status, 200 to 599.
    pub status: u16,
    /// The JSON body.
    pub body: Option<Value>,
}

/// The status that the host returns for an invoke that no plugin answered.
pub const NOT_IMPLEMENTED: u16 = 501;

const CARD: &str = "application/vnd.microsoft.card.adaptive";
const MESSAGE: &str = "application/vnd.microsoft.activity.message";
const ERROR: &str = "application/vnd.microsoft.error";
const SEARCH: &str = "application/vnd.microsoft.search.searchResponse";

object! {
    /// The value of the invoke `adaptiveCard/action`: a user pressed `Action.Execute`.
    AdaptiveCardAction {
        /// The id of the action on the card.
        id: Option<String> = "id",
        /// The verb of the action.
        verb: Option<String> = "verb",
        /// The data of the action, including the inputs of the card.
        data: Option<Value> = "data",
    }
}

object! {
    /// The value of the invoke `application/search`: a user types into a search field.
    Search {
        /// `search`, `searchAnswer` or `typeahead`.
        kind: String = "kind",
        /// What the user typed.
        query_text: String = "queryText",
        /// The requested page of results.
        query_options: Option<QueryOptions> = "queryOptions",
        /// The data set to search.
        dataset: Option<String> = "dataset",
    }
}

object! {
    /// A page of results.
    QueryOptions {
        /// Number of results to skip.
        skip: Option<u32> = "skip",
        /// Maximum number of results to return.
        top: Option<u32> = "top",
    }
}

object! {
    /// The value of the invoke `signin/tokenExchange`: single sign-on offers a token.
    TokenExchange {
        /// The id of the request.
        id: Option<String> = "id",
        /// The OAuth connection.
        connection_name: Option<String> = "connectionName",
        /// The token to exchange.
        token: Option<String> = "token",
    }
}

impl InvokeResponse {
    /// Creates a response with a status and no body.
    pub fn status(status: u16) -> Self {
        Self { status, body: None }
    }

    /// Creates a response with status 200 and a body.
    pub fn ok(body: impl Into<Value>) -> Self {
        Self { status: 200, body: Some(body.into()) }
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Value>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Creates a response to an Adaptive Card action: a card that replaces the card of the action.
    pub fn card(card: impl Into<Value>) -> Self {
        Self::typed(200, CARD, card.into())
    }

    /// Creates a response to an Adaptive Card action: a short text.
    pub fn message(text: impl Into<String>) -> Self {
        Self::typed(200, MESSAGE, Value::String(text.into()))
    }

    /// Creates a response to a search. Each result is a `value` and the `title` to show.
    pub fn results<V: Into<String>, T: Into<String>>(results: impl IntoIterator<Item = (V, T)>) -> Self {
        let results: Vec<Value> =
            results.into_iter().map(|(value, title)| json!({ "value": value.into(), "title": title.into() })).collect();
        Self::typed(200, SEARCH, json!({ "results": results }))
    }

    /// Creates an error response with a code and a message in the body.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::typed(status, ERROR, json!({ "code": code, "message": message }))
    }

    fn typed(status: u16, kind: &str, value: Value) -> Self {
        let mut body = json!({ "statusCode": status, "type": kind });
        body["value"] = value;
        Self { status, body: Some(body) }
    }
}

impl AdaptiveCardAction {
    /// Reads the value of the invoke. If it is wrong, returns the error response as the error.
    pub(crate) fn read(value: Option<&Value>) -> Result<Self, InvokeResponse> {
        let action = value
            .and_then(|value| value.get("action"))
            .and_then(Value::as_object)
            .ok_or_else(|| InvokeResponse::error(400, "BadRequest", "the value has no object `action`"))?;
        match action.get("type").and_then(Value::as_str) {
            Some("Action.Execute") => Ok(Self::from_object(action.clone())),
            other => {
                let message = format!("the action type `{}` is not supported", other.unwrap_or_default());
                Err(InvokeResponse::error(400, "NotSupported", &message))
            }
        }
    }
}

impl Search {
    /// Reads the value of the invoke. If it is wrong, returns the error response as the error. Teams omits `kind`.
    pub(crate) fn read(value: Option<&Value>, channel: &str) -> Result<Self, InvokeResponse> {
        let missing = |what| InvokeResponse::error(400, "BadRequest", &format!("the value has no {what}"));
        let value = value.and_then(Value::as_object).ok_or_else(|| missing("object"))?;
        let mut search = Self::from_object(value.clone());
        if search.kind.is_empty() && channel == "msteams" {
            "search".clone_into(&mut search.kind);
        }
        if search.kind.is_empty() {
            return Err(missing("`kind`"));
        }
        if search.query_text.is_empty() {
            return Err(missing("`queryText`"));
        }
        Ok(search)
    }
}
