// A bot of an unmodified npm SDK, for the specs of bridges: `botbuilder` or `@microsoft/agents-hosting`, on express.
//
// usage: node old-bot.mjs botbuilder|agents-hosting PORT [APP_ID ISSUER]
//
// It prints `listening` when it serves POST /api/messages. Messages: `count` counts in ConversationState, `members` lists
// the members, `two` sends two replies, `edit` updates its reply, `ask` begins a waterfall dialog (botbuilder only),
// everything else is echoed. GET /proactive?text=… continues the last conversation from its stored reference. GET /state
// returns what the SDK stored. With an app id (botbuilder only) it demands tokens of that issuer.

import { createRequire } from 'node:module';
import express from 'express';

const [sdk, port, appId, issuer] = process.argv.slice(2);
if (!port || !['botbuilder', 'agents-hosting'].includes(sdk)) {
  console.error('usage: node old-bot.mjs botbuilder|agents-hosting PORT');
  process.exit(2);
}
const require = createRequire(import.meta.url);
const kit = require(sdk === 'botbuilder' ? 'botbuilder' : '@microsoft/agents-hosting');

const memory = {};
const storage = new kit.MemoryStorage(memory);
const conversation = new kit.ConversationState(storage);
const count = conversation.createProperty('count');
let reference;
let adapter;
let dialogs;

if (sdk === 'botbuilder') {
  const identity = appId && {
    MicrosoftAppId: appId,
    MicrosoftAppPassword: 'not used, because nothing is sent',
    MicrosoftAppType: 'MultiTenant',
    ValidateAuthority: 'true',
    ToBotFromChannelOpenIdMetadataUrl: `${issuer}/.well-known/openid-configuration`,
    ToBotFromChannelTokenIssuer: issuer,
    ToBotFromEmulatorOpenIdMetadataUrl: `${issuer}/.well-known/openid-configuration`,
    ToChannelFromBotLoginUrl: issuer,
    ToChannelFromBotOAuthScope: issuer,
    OAuthUrl: issuer,
    CallerId: 'urn:botframework:host',
  };
  adapter = new kit.CloudAdapter(new kit.ConfigurationBotFrameworkAuthentication(identity || {}));
  const { DialogSet, TextPrompt, WaterfallDialog } = require('botbuilder-dialogs');
  dialogs = new DialogSet(conversation.createProperty('DialogState'));
  dialogs.add(new TextPrompt('text'));
  dialogs.add(
    new WaterfallDialog('booking', [
      (step) => step.prompt('text', 'Where to?'),
      (step) => {
        step.values.city = step.result;
        return step.prompt('text', 'When?');
      },
      async (step) => {
        await step.context.sendActivity(`Old: booked ${step.values.city}, ${step.result}`);
        return step.endDialog();
      },
    ]),
  );
} else {
  adapter = new kit.CloudAdapter();
}

class Bot extends kit.ActivityHandler {
  constructor() {
    super();
    this.onMessage(async (context, next) => {
      reference =
        sdk === 'botbuilder'
          ? kit.TurnContext.getConversationReference(context.activity)
          : context.activity.getConversationReference();
      await answer(context);
      await conversation.saveChanges(context, false);
      await next();
    });
    this.onMembersAdded(async (context, next) => {
      await context.sendActivity('Old: welcome');
      await next();
    });
  }

  async onInvokeActivity(context) {
    const { name, value } = context.activity;
    return name === 'echo' ? { status: 200, body: { echo: value } } : { status: 501 };
  }
}

async function answer(context) {
  const text = context.activity.text ?? '';
  const dialog = dialogs && (await dialogs.createContext(context));
  if (dialog && (await dialog.continueDialog()).status !== 'empty') return;
  if (text === 'ask' && dialog) return void (await dialog.beginDialog('booking'));
  if (text.startsWith('count')) {
    const next = (await count.get(context, 0)) + 1;
    await count.set(context, next);
    return void (await context.sendActivity(`${text.slice(6)} ${next}`));
  }
  if (text === 'members' && sdk === 'botbuilder') {
    const client = context.turnState.get(context.adapter.ConnectorClientKey);
    const members = await client.conversations.getConversationMembers(context.activity.conversation.id);
    return void (await context.sendActivity(`Old: ${members.map((member) => member.id).join(' and ')}`));
  }
  if (text === 'two') {
    await context.sendActivity('Old: one');
    return void (await context.sendActivity('Old: two'));
  }
  if (text === 'edit') {
    const { id } = await context.sendActivity('Old: draft');
    const edited = sdk === 'botbuilder' ? {} : new (require('@microsoft/agents-activity').Activity)('message');
    Object.assign(edited, { type: 'message', id, text: 'Old: final' });
    return void (await context.updateActivity(edited));
  }
  await context.sendActivity(`Old: ${text}`);
}

const bot = new Bot();
const app = express();
app.use(express.json({ limit: '1mb' }));
app.post('/api/messages', (request, response) => adapter.process(request, response, (context) => bot.run(context)));
app.get('/proactive', async (request, response) => {
  const say = (context) => context.sendActivity(request.query.text);
  if (sdk === 'botbuilder') await adapter.continueConversationAsync('', reference, say);
  else await adapter.continueConversation('anonymous', reference, say);
  response.sendStatus(200);
});
app.get('/state', (_request, response) =>
  response.json(Object.fromEntries(Object.entries(memory).map(([key, text]) => [key, JSON.parse(text)]))),
);
app.listen(Number(port), '127.0.0.1', () => console.log('listening'));
