package turntable

import "encoding/json"

// Response is the response to an invoke: an HTTP status and a JSON body, which may be nil.
type Response struct {
	Status int
	Body   any
}

// OK returns status 200 with a body.
func OK(body any) *Response { return &Response{200, body} }

// CardResponse answers adaptiveCard/action with a card.
func CardResponse(card any) *Response {
	return typed(200, "application/vnd.microsoft.card.adaptive", card)
}

// MessageResponse answers adaptiveCard/action with a text.
func MessageResponse(text string) *Response {
	return typed(200, "application/vnd.microsoft.activity.message", text)
}

// SearchResult is one line under a search field.
type SearchResult struct {
	Value string `json:"value"`
	Title string `json:"title"`
}

// ResultsResponse answers application/search.
func ResultsResponse(results []SearchResult) *Response {
	return typed(200, "application/vnd.microsoft.search.searchResponse", map[string]any{"results": results})
}

// ErrorResponse answers an invoke with an error.
func ErrorResponse(status int, code, message string) *Response {
	return typed(status, "application/vnd.microsoft.error", map[string]string{"code": code, "message": message})
}

func typed(status int, kind string, value any) *Response {
	return &Response{status, map[string]any{"statusCode": status, "type": kind, "value": value}}
}

// Action is the action of adaptiveCard/action.
type Action struct {
	Type string          `json:"type"`
	ID   string          `json:"id"`
	Verb string          `json:"verb"`
	Data json.RawMessage `json:"data"`
}

// Search is the value of application/search.
type Search struct {
	Kind      string          `json:"kind"`
	QueryText string          `json:"queryText"`
	Dataset   string          `json:"dataset"`
	Options   json.RawMessage `json:"queryOptions"`
}

// cardAction reads the value of adaptiveCard/action, or returns the response for a wrong value.
func cardAction(value json.RawMessage) (Action, *Response) {
	var read struct{ Action *Action }
	if json.Unmarshal(value, &read) != nil || read.Action == nil {
		return Action{}, ErrorResponse(400, "BadRequest", "the value has no object `action`")
	}
	if read.Action.Type != "Action.Execute" {
		return Action{}, ErrorResponse(400, "NotSupported", "the action type `"+read.Action.Type+"` is not supported")
	}
	return *read.Action, nil
}

// search reads the value of application/search, or returns the response for a wrong value.
func search(value json.RawMessage, channel string) (Search, *Response) {
	var read *Search
	if json.Unmarshal(value, &read) != nil || read == nil {
		return Search{}, ErrorResponse(400, "BadRequest", "the value has no object")
	}
	if read.Kind == "" && channel == "msteams" {
		read.Kind = "search"
	}
	if read.Kind == "" {
		return Search{}, ErrorResponse(400, "BadRequest", "the value has no `kind`")
	}
	if read.QueryText == "" {
		return Search{}, ErrorResponse(400, "BadRequest", "the value has no `queryText`")
	}
	return *read, nil
}
