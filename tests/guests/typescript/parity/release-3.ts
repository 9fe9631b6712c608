import { bot } from "./bot.js";

export default bot(3);
