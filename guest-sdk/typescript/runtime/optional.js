// Globals that the build adds only to bundles that name them.
export { AbortController, AbortSignal, Event, EventTarget } from "./abort.js";
export { structuredClone } from "./clone.js";
export { TextDecoder, TextEncoder } from "./text.js";
export { URL, URLSearchParams } from "./url.js";
