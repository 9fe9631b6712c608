// The SDK: what a bot imports from `turntable-sdk`.
export { action, activity, adaptiveCard, event, file, heroCard, mention, message } from "./activity.js";
export { attachment, choice, confirm, dateTime, number, text } from "./prompt.js";
export { Bot, defineBot, replaceWith, sender, stop } from "./plugin.js";
export { accept, reject } from "./dialog/hooks.js";
export { always, waterfall } from "./dialog/waterfall.js";
export { deliver, Turn } from "./turn.js";
export { dialog } from "./dialog/straight.js";
export { dispatch } from "./dispatch.js";
export { Fault } from "./fault.js";
export { response } from "./invoke.js";
export { steps } from "./dialog/step.js";
