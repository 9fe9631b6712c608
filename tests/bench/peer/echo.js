// The peer: an echo bot as the samples of the npm package `botbuilder` write it, without credentials.
// Usage: node echo.js PORTS_FILE. It listens on a free port of loopback and writes {"public":"ADDRESS:PORT"} there.
'use strict';

const fs = require('node:fs');
const express = require('express');
const {
    ActivityHandler, CloudAdapter, ConfigurationBotFrameworkAuthentication, MessageFactory,
} = require('botbuilder');

class EchoBot extends ActivityHandler {
    constructor() {
        super();
        this.onMessage(async (context, next) => {
            await context.sendActivity(MessageFactory.text(`Echo: ${context.activity.text}`));
            await next();
        });
    }
}

const adapter = new CloudAdapter(new ConfigurationBotFrameworkAuthentication({}));
adapter.onTurnError = async (context, error) => {
    console.error(error);
};
const bot = new EchoBot();

const app = express();
app.use(express.json());
app.post('/api/messages', (request, response) => adapter.process(request, response, (context) => bot.run(context)));
const server = app.listen(0, '127.0.0.1', () => {
    const { address, port } = server.address();
    fs.writeFileSync(process.argv[2], JSON.stringify({ public: `${address}:${port}` }));
});
