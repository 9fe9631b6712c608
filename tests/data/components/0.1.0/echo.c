// A bot in C without a library: it says what it heard. The source of `echo-c.wasm`, kept to show what that component does.
//
// Function names and memory layouts are those of the component model's canonical ABI, for `world plugin` of
// `turntable:bot@0.1.0`.

typedef unsigned int u32;
typedef unsigned char u8;
typedef struct { const char *text; u32 length; } string;
typedef struct { u8 is_error; string id; u8 rest_of_fault[32]; } reply_result;
typedef struct { u8 meta[72]; string activity; } on_activity_parameters;
typedef struct { u8 is_error; u8 padding[3]; u8 flow; u8 rest_of_fault[35]; } on_activity_result;

__attribute__((import_module("turntable:bot/turn@0.1.0"), import_name("reply")))
extern void reply(const char *activity, u32 length, reply_result *result);

// Memory is handed out upwards and never freed: an instance lives for one turn.
extern u8 __heap_base;
static u32 next = 0;

__attribute__((export_name("cabi_realloc")))
void *cabi_realloc(void *old, u32 old_size, u32 alignment, u32 size) {
    if (next == 0) next = (u32)&__heap_base;
    next = (next + alignment - 1) & ~(alignment - 1);
    u32 start = next;
    next += size;
    u32 pages = (next + 65535) / 65536, have = __builtin_wasm_memory_size(0);
    if (pages > have && __builtin_wasm_memory_grow(0, pages - have) == (u32)-1) __builtin_trap();
    for (u32 i = 0; i < old_size && i < size; i++) ((u8 *)start)[i] = ((u8 *)old)[i];
    return (void *)start;
}

static const char MANIFEST[] = "{\"name\":\"echo-c\",\"version\":\"0.1.0\",\"roles\":[\"handler\"],\"activities\":[\"message\"]}";
static string manifest = { MANIFEST, sizeof MANIFEST - 1 };

__attribute__((export_name("turntable:bot/bot-handler@0.1.0#describe")))
string *describe(void) { return &manifest; }

// Returns the JSON text of the member `text`, between its quotes and as it was escaped.
static string heard(string json) {
    static const char NAME[] = "\"text\":\"";
    string found = { 0, 0 };
    for (u32 at = 0; at + 8 <= json.length; at++) {
        u32 same = 0;
        while (same < 8 && json.text[at + same] == NAME[same]) same++;
        if (same < 8) continue;
        u32 end = at + 8;
        while (end < json.length && json.text[end] != '"') end += json.text[end] == '\\' ? 2 : 1;
        found.text = json.text + at + 8;
        found.length = end - at - 8;
        break;
    }
    return found;
}

static on_activity_result result;

__attribute__((export_name("turntable:bot/bot-handler@0.1.0#on-activity")))
on_activity_result *on_activity(on_activity_parameters *parameters) {
    static const char BEFORE[] = "{\"type\":\"message\",\"text\":\"C heard ", AFTER[] = "\"}";
    string text = heard(parameters->activity);
    u32 length = sizeof BEFORE - 1 + text.length + sizeof AFTER - 1;
    char *activity = cabi_realloc(0, 0, 1, length), *end = activity;
    for (u32 i = 0; i < sizeof BEFORE - 1; i++) *end++ = BEFORE[i];
    for (u32 i = 0; i < text.length; i++) *end++ = text.text[i];
    for (u32 i = 0; i < sizeof AFTER - 1; i++) *end++ = AFTER[i];
    reply_result replied;
    reply(activity, length, &replied);
    if (replied.is_error) __builtin_trap();
    result.is_error = 0;
    result.flow = 1;
    return &result;
}
