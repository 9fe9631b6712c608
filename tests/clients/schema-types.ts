// The types against which schema.mjs checks activities. The script puts this text before the values that it generates.
import type {
  Activity,
  AdaptiveCardInvokeResponse,
  ChannelAccount,
  ConversationAccount,
  ConversationParameters,
  HeroCard,
  InvokeResponse,
  SearchInvokeResponse,
} from 'botframework-schema';

/** The channel says what it knows of accounts and conversations; their ids are all that everybody needs. */
type Account = Pick<ChannelAccount, 'id'> & Partial<ChannelAccount>;
type Conversation = Pick<ConversationAccount, 'id'> & Partial<Omit<ConversationAccount, 'role'>>;
type Accounts = { from: Account; recipient: Account; conversation: Conversation; membersAdded: Account[]; membersRemoved: Account[] };

/** An activity as `sendActivity` takes it: what is there has its type. */
type Sent = Partial<Omit<Activity, keyof Accounts> & Accounts> & Pick<Activity, 'type'>;
/** What asks for a new conversation. */
type Parameters = Partial<Omit<ConversationParameters, 'bot' | 'members'>> & { bot: Account; members: Account[] };
/** A card as `CardFactory.heroCard` makes it. Thumbnails have the same members. */
type Card = Partial<HeroCard>;

/** Members that the types do not know are no error. */
function open<T>(value: T): T {
  return value;
}

