//! English.

use super::Language;
use crate::prompt::lexicon::Mean::{
    After, Ago, And, Article, At, Before, Bound, Clock, Day, DayPart, Feast, Filler, For, Hour, In, Later, Less,
    Midnight, Minus, Month, More, Noon, Not, Now, Num, Of, On, Open, Or, Ordinal, Over, PastHour, Point, Scale, Share,
    The, ToHour, Turn, Unit, Weekday,
};
use crate::prompt::lexicon::{Feast as F, Mean, Part, Turn as T, Unit as U};

pub(super) static ENGLISH: Language = Language {
    code: "en",
    yes: "yes|y|yes please|yeah|yea|yep|yup|sure|sure thing|ok|okay|of course|certainly|absolutely|definitely|right\
        |correct|true\
        |please do|go ahead|do it|no problem|not a problem|why not|indeed|affirmative|fine|sounds good|i do\
        |i think so|you bet|ya|alright|all right|great|good|perfect\
        |uh huh|go for it|i guess so|i'd love to|i would love to|not bad|yess|yesss|okey|totally|exactly\
        |agree|i agree|agreed|deal|it's a deal|aye|by all means|naturally|please|no worries|no doubt|i am|yes i am\
        |you got it|👍|👌|✅|✔",
    no: "no|n|nope|nah|not|no thanks|no thank you|never|wrong|false|incorrect|don't|do not|no way|not now\
        |not really|not at all\
        |of course not|certainly not|absolutely not|definitely not|not right|not correct|not true|not ok|not okay\
        |not fine\
        |rather not|negative|i'm good|i am good|im good|i'm good thanks|i'm fine|i am fine|i'm ok|i'm okay\
        |i'm all right|i'm alright|no need\
        |not good|i do not|i'd rather not|disagree|i disagree|i do not agree|i don't agree|no deal|not perfect\
        |not great|not a good idea|bad idea|please don't|please do not|cancel|i'd love not to|👎|❌|✖",
    unsure: "probably|not sure|don't know|do not know|dunno|no idea|maybe|perhaps|not certain|not exactly|i guess\
        |not so sure|right now|right away|good question|good morning|good evening|good afternoon|good night\
        |good day|no good deal|not no",
    yes_title: "Yes",
    no_title: "No",
    or: " or ",
    or_last: ", or ",
    either: "Do you mean {one} or {other}?",
    last: "last",
    before_last: "one before last|one before the last|second to last|second last|last but one|next to last\
        |penultimate",
    ones: "one",
    place: "number|no|option|choice|answer|please",
    polite: "please|i take|i'd take|i'll take|i will take|i want|i'd like|i would like|give me|let's go with\
        |let me have|i choose|i pick|um|uh|hmm|well|i'd say|i would say|i say|i think|it's|it is|that's|then|ok\
        |okay|so|for me|thanks|thank you|my choice is|i go for|i'd go for|go with|hi|hello|hey|just|let's take|take\
        |the",
    except: "not|don't|dont|do not|doesn't|neither|nor|except|anything but|everything but|all but|without|never\
        |isn't|other than",
    except_after: "not",
    agrees: "why not|no problem|not a problem",
    both: "both|all of them|all",
    endings: "",
    ordinal_endings: "st|nd|rd|th",
    share_endings: "ths|ieths|sts",
    decimal: '.',
    decimal_elsewhere: "",
    compounds: false,
    tens_and: false,
    scores: false,
    date_written: "{d} {month} {y}",
    words: WORDS,
};

const WORDS: &[(Mean, &str)] = &[
    (Num(0), "zero|nought|naught"),
    (Num(1), "one"),
    (Num(2), "two|a couple|a couple of|couple of|a pair|a pair of"),
    (Num(3), "three"),
    (Num(4), "four"),
    (Num(5), "five"),
    (Num(6), "six"),
    (Num(7), "seven"),
    (Num(8), "eight"),
    (Num(9), "nine"),
    (Num(10), "ten"),
    (Num(11), "eleven"),
    (Num(12), "twelve"),
    (Num(13), "thirteen"),
    (Num(14), "fourteen"),
    (Num(15), "fifteen"),
    (Num(16), "sixteen"),
    (Num(17), "seventeen"),
    (Num(18), "eighteen"),
    (Num(19), "nineteen"),
    (Num(20), "twenty"),
    (Num(30), "thirty"),
    (Num(40), "forty|fourty"),
    (Num(50), "fifty"),
    (Num(60), "sixty"),
    (Num(70), "seventy"),
    (Num(80), "eighty"),
    (Num(90), "ninety"),
    (Scale(12.0), "dozen|dozens|doz|dozs|dz|dzs"),
    (Scale(100.0), "hundred|hundreds"),
    (Scale(1e3), "thousand|thousands|grand"),
    (Scale(1e5), "lakh|lakhs|lac|lacs"),
    (Scale(1e6), "million|millions|mln|mio"),
    (Scale(1e7), "crore|crores"),
    (Scale(1e9), "billion|billions|bn"),
    (Scale(1e12), "trillion|trillions"),
    (Open, "few|a few|several|many|dozens of|hundreds of|thousands of|millions of|a couple more|tens of"),
    (Ordinal(1), "first"),
    (Ordinal(2), "?second"),
    (Ordinal(3), "third"),
    (Ordinal(4), "fourth"),
    (Ordinal(5), "fifth"),
    (Ordinal(6), "sixth"),
    (Ordinal(7), "seventh"),
    (Ordinal(8), "eighth"),
    (Ordinal(9), "ninth"),
    (Ordinal(10), "tenth"),
    (Ordinal(11), "eleventh"),
    (Ordinal(12), "twelfth"),
    (Ordinal(13), "thirteenth"),
    (Ordinal(14), "fourteenth"),
    (Ordinal(15), "fifteenth"),
    (Ordinal(16), "sixteenth"),
    (Ordinal(17), "seventeenth"),
    (Ordinal(18), "eighteenth"),
    (Ordinal(19), "nineteenth"),
    (Ordinal(20), "twentieth"),
    (Ordinal(30), "thirtieth"),
    (Share(2), "half|halves"),
    (Share(3), "thirds"),
    (Share(4), "quarter|quarters"),
    (Share(5), "fifths|fifth part"),
    (Share(6), "sixths"),
    (Share(7), "sevenths"),
    (Share(8), "eighths"),
    (Share(9), "ninths"),
    (Share(10), "tenths"),
    (Point, "point"),
    (Minus, "minus|negative"),
    (Over, "over|out of"),
    (Article, "a|an"),
    (Month(1), "January|jan"),
    (Month(2), "February|feb|febr"),
    (Month(3), "March|?mar|?march"),
    (Month(4), "April|apr"),
    (Month(5), "?May"),
    (Month(6), "June|jun"),
    (Month(7), "July|jul"),
    (Month(8), "August|aug"),
    (Month(9), "September|sept|sep"),
    (Month(10), "October|oct"),
    (Month(11), "November|nov"),
    (Month(12), "December|dec"),
    (Weekday(0), "Monday|mon"),
    (Weekday(1), "Tuesday|tues|tue"),
    (Weekday(2), "Wednesday|weds|wed|wedn"),
    (Weekday(3), "Thursday|thurs|thur|thu"),
    (Weekday(4), "Friday|fri"),
    (Weekday(5), "Saturday|?sat"),
    (Weekday(6), "Sunday|?sun"),
    (Day(-2), "day before yesterday|the day before yesterday"),
    (Day(-1), "yesterday"),
    (Day(0), "today"),
    (
        Day(1),
        "tomorrow|tmrw|tmr|tomorow|tommorow|tommorrow|tomorrow's day|next day|the next day|following day\
        |the following day|the day after",
    ),
    (
        Day(2),
        "day after tomorrow|the day after tomorrow|day after tmr|day after tmrw|the day after tmrw|the day after tmr",
    ),
    (Unit(U::Second), "seconds|?second|sec|secs"),
    (Unit(U::Minute), "minute|minutes|min|mins"),
    (Unit(U::Hour), "hour|hours|hr|hrs|h"),
    (Unit(U::Day), "day|days"),
    (Unit(U::Week), "week|weeks|wk|wks"),
    (Unit(U::Fortnight), "fortnight|fortnights"),
    (Unit(U::Month), "month|months"),
    (Unit(U::Year), "year|years|yr|yrs"),
    (Turn(T::Next), "next|following|the following"),
    (Turn(T::Coming), "coming|upcoming|this coming|this upcoming|the coming"),
    (Turn(T::This), "this|current"),
    (Turn(T::Last), "last|previous"),
    (Turn(T::Past), "past|this past"),
    (Turn(T::AfterNext), "after next"),
    (Mean::Part(Part::Am), "am|a m|a . m|a . m ."),
    (Mean::Part(Part::Pm), "pm|p m|p . m|p . m ."),
    (Mean::Part(Part::Morning), "morning|in the morning|early morning|early in the morning|in the early morning"),
    (
        Mean::Part(Part::Afternoon),
        "afternoon|in the afternoon|early afternoon|late afternoon|early in the afternoon|late in the afternoon",
    ),
    (
        Mean::Part(Part::Evening),
        "evening|in the evening|early evening|late evening|early in the evening|late in the evening",
    ),
    (Mean::Part(Part::Night), "night|at night|in the night|late at night"),
    (Mean::Part(Part::Noon), "lunchtime|at lunchtime"),
    (DayPart(0, Part::Morning), "this morning"),
    (DayPart(0, Part::Afternoon), "this afternoon"),
    (DayPart(0, Part::Evening), "this evening"),
    (DayPart(0, Part::Night), "tonight|tonite|this night"),
    (DayPart(-1, Part::Night), "last night"),
    (Noon, "noon|noonish|midday|mid day|noontime|12 noon|twelve noon|12 lunchtime|twelve lunchtime"),
    (Midnight, "midnight|mid night|12 midnight|twelve midnight"),
    (Hour(10), "mid morning|midmorning"),
    (Hour(14), "mid afternoon|midafternoon"),
    (Feast(F::On(1, 1)), "new year's day|new years day|new year day|new year|new year's|new years"),
    (Feast(F::On(2, 14)), "valentine's day|valentines day|valentine day|valentine's|valentine"),
    (Feast(F::On(3, 17)), "saint patrick|saint patrick's day|saint patrick's|st patrick's day|st . patrick's day"),
    (Feast(F::On(4, 22)), "earth day"),
    (Feast(F::On(10, 31)), "halloween"),
    (Feast(F::On(12, 24)), "christmas eve"),
    (Feast(F::On(12, 25)), "christmas|christmas day|xmas|xmas day"),
    (Feast(F::On(12, 26)), "boxing day"),
    (Feast(F::On(12, 31)), "new year's eve|new years eve|new year eve"),
    (Feast(F::Easter(-2)), "good friday"),
    (Feast(F::Easter(0)), "easter|easter sunday|easter day"),
    (Feast(F::Easter(1)), "easter monday"),
    (
        Now,
        "now|right now|immediately|at once|straight away|right away|asap|as soon as possible|at the moment\
        |at present|at this time|at the present time",
    ),
    (At, "at|around|about|approximately|approx|circa|@|roughly|ca"),
    (Clock, "o'clock|oclock|h|ish|- ish"),
    (PastHour, "past|after|minutes past|minutes after|min past|mins past"),
    (ToHour, "to|before|til|till|minutes to|minutes before|min to|mins to"),
    (More, "and"),
    (And, "and|&"),
    (In, "in"),
    (For, "for"),
    (Ago, "ago|earlier"),
    (Later, "from now|from today|later|from this moment"),
    (After, "after|from|following"),
    (On, "on"),
    (Before, "before|prior to"),
    (Or, "or"),
    (Not, "not|don't|dont|doesn't|can't|cannot|won't|except|anything but|all but|neither|nor|never|isn't"),
    (Of, "of|in"),
    (The, "the"),
    (
        Bound,
        "to|from|by|until|till|til|thru|through|before|after|since|upto|within|during|past|under|over|above|below\
        |with in",
    ),
    (
        Open,
        "ending|ends with|lunch|and after|and before|and more|equals|equal to|surpass|surpasses|surpassing|tuesdays\
        |wednesdays|thursdays|fridays|saturdays|sundays|mornings|afternoons|evenings|nights|everyday|dinnertime\
        |and later|and earlier|beginning on|starting on|beginning|starting|in advance of|w / c|every|at the latest\
        |at the earliest|each|between|at least|at most|more than|less than|fewer than|greater than|higher than\
        |lower than|or more|or less|or later|or earlier|or after|or before|no more than|no less than|up to|as of\
        |since|until|weekend|weekends|weekday|weekdays|daily|weekly|monthly|yearly|annually|hourly|biweekly|twice\
        |once a|once per|all day|whole|entire|rest of|end of|the end|beginning of|start of|mid|middle of|early|late\
        |later than|earlier than|sooner|before or|business day|business days|working day|working days|workday\
        |workdays|season|quarter of the year|decade|decades|century|centuries|spring|summer|autumn|winter|fall of\
        |christmas time|christmas holidays|easter holidays|thanksgiving|the new year|in the new year|ytd|eod\
        |eom|eoy|q1|q2|q3|q4|h1|h2|anytime|any time|any day|no later|the day of|most recent|first half|second half\
        |first week|last week of|week of|the first day|the last day|last day of|first day of|day time|daytime\
        |dinner|breakfast|mealtime|exceed|exceeds|exceeding|smaller than|larger than|bigger than|equal or|or equal\
        |equals or|equal to or",
    ),
    (
        Filler,
        "why not|no problem|not a problem|please|thanks|thank you|no|if possible|if you don't mind|i don't mind\
        |i don't care|day of the week|date of",
    ),
    (Less, "less"),
];
