/* JSON values in memory of the turn. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum kind { NIL, FALSE_, TRUE_, NUMBER, STRING, ARRAY, OBJECT };

/* A string keeps half characters as three bytes each, as if they were whole, and is written with escapes. */
struct tt_json {
    enum kind kind;
    const char *text; /* of a string or a number */
    size_t length, capacity;
    const char **names;
    const tt_json **items;
};

/* Memory of the turn: the block that has room. Blocks are freed with the instance, which serves one turn. */
typedef struct block {
    size_t used, size;
} block;

static block *newest;

void *tt_alloc(size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (!newest || newest->size - newest->used < size) {
        size_t room = size > 32768 - sizeof(block) ? size : 32768 - sizeof(block);
        block *fresh = calloc(1, sizeof(block) + 16 + room);
        if (!fresh) abort();
        fresh->size = room;
        newest = fresh;
    }
    char *start = (char *)(((uintptr_t)(newest + 1) + 15) & ~(uintptr_t)15);
    void *memory = start + newest->used;
    newest->used += size;
    return memory;
}

char *tt_copy_text(const char *text, size_t length) {
    char *copy = tt_alloc(length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *tt_vformat(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    char *text = tt_alloc((size_t)(length < 0 ? 0 : length) + 1);
    if (length >= 0) vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

char *tt_format(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = tt_vformat(format, arguments);
    va_end(arguments);
    return text;
}

static tt_json *fresh(enum kind kind) {
    tt_json *value = tt_alloc(sizeof *value);
    value->kind = kind;
    return value;
}

static tt_json *with_text(enum kind kind, const char *text) {
    tt_json *value = fresh(kind);
    value->text = text;
    value->length = strlen(text);
    return value;
}

tt_json *tt_null(void) { return fresh(NIL); }
tt_json *tt_bool(bool value) { return fresh(value ? TRUE_ : FALSE_); }
tt_json *tt_int(int64_t value) { return with_text(NUMBER, tt_format("%lld", (long long)value)); }
tt_json *tt_string(const char *text) { return text ? with_text(STRING, tt_copy_text(text, strlen(text))) : tt_null(); }
tt_json *tt_array(void) { return fresh(ARRAY); }
tt_json *tt_object(void) { return fresh(OBJECT); }

tt_json *tt_number(double value) {
    if (value != value || value - value != 0) return tt_null(); /* JSON has no such number. */
    if (value == (double)(int64_t)value && value < 1e15 && value > -1e15) return tt_int((int64_t)value);
    char *text = tt_format("%.15g", value);
    if (strtod(text, NULL) != value) text = tt_format("%.17g", value);
    return with_text(NUMBER, text);
}

static void append(tt_json *list, const char *name, const tt_json *item) {
    if (list->length == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 8;
        const tt_json **items = tt_alloc(capacity * sizeof *items);
        const char **names = tt_alloc(capacity * sizeof *names);
        if (list->length) {
            memcpy(items, list->items, list->length * sizeof *items);
            memcpy(names, list->names, list->length * sizeof *names);
        }
        list->items = items;
        list->names = names;
        list->capacity = capacity;
    }
    list->names[list->length] = name;
    list->items[list->length++] = item ? item : tt_null();
}

tt_json *tt_set(tt_json *object, const char *name, const tt_json *value) {
    if (!object || object->kind != OBJECT) return object;
    for (size_t at = 0; at < object->length; at++) {
        if (!strcmp(object->names[at], name)) {
            object->items[at] = value ? value : tt_null();
            return object;
        }
    }
    append(object, tt_copy_text(name, strlen(name)), value);
    return object;
}

tt_json *tt_push(tt_json *array, const tt_json *value) {
    if (array && array->kind == ARRAY) append(array, NULL, value);
    return array;
}

tt_json *tt_copy(const tt_json *value) {
    if (!value) return NULL;
    tt_json *copy = fresh(value->kind);
    if (value->kind != ARRAY && value->kind != OBJECT) {
        *copy = *value;
        return copy;
    }
    for (size_t at = 0; at < value->length; at++) append(copy, value->names[at], value->items[at]);
    return copy;
}

tt_json *tt_get(const tt_json *object, const char *name) {
    if (!object || object->kind != OBJECT) return NULL;
    for (size_t at = 0; at < object->length; at++) {
        if (!strcmp(object->names[at], name)) return (tt_json *)object->items[at];
    }
    return NULL;
}

const char *tt_name_at(const tt_json *object, size_t index) {
    return object && object->kind == OBJECT && index < object->length ? object->names[index] : NULL;
}

tt_json *tt_at(const tt_json *array, size_t index) {
    bool is_list = array && (array->kind == ARRAY || array->kind == OBJECT);
    return is_list && index < array->length ? (tt_json *)array->items[index] : NULL;
}

size_t tt_length(const tt_json *value) {
    return value && (value->kind == ARRAY || value->kind == OBJECT) ? value->length : 0;
}

bool tt_is_object(const tt_json *value) { return value && value->kind == OBJECT; }
bool tt_is_null(const tt_json *value) { return !value || value->kind == NIL; }

const char *tt_text(const tt_json *value, const char *otherwise) {
    return value && value->kind == STRING ? value->text : otherwise;
}

double tt_double(const tt_json *value, double otherwise) {
    return value && value->kind == NUMBER ? strtod(value->text, NULL) : otherwise;
}

bool tt_true(const tt_json *value, bool otherwise) {
    if (!value || (value->kind != TRUE_ && value->kind != FALSE_)) return otherwise;
    return value->kind == TRUE_;
}

/* --- Reading. --- */

typedef struct reader {
    const char *at, *end;
    int depth;
} reader;

static tt_json *read_value(reader *in);

static void skip_spaces(reader *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\r' || *in->at == '\t')) in->at++;
}

static bool accept(reader *in, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length)) return false;
    in->at += length;
    return true;
}

static int hex4(reader *in) {
    int code = 0;
    if (in->end - in->at < 4) return -1;
    for (int digit = 0; digit < 4; digit++) {
        char c = *in->at++;
        int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (value < 0) return -1;
        code = code * 16 + value;
    }
    return code;
}

static char *put_character(char *out, unsigned code) {
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
    }
    *out++ = (char)(0x80 | (code & 63));
    return out;
}

/* Reads the character of an escape `\u`, of which `\u` is read. Returns -1 for another text. */
static long escaped(reader *in) {
    long code = hex4(in);
    if (code < 0xd800 || code > 0xdbff || in->end - in->at < 6 || in->at[0] != '\\' || in->at[1] != 'u') return code;
    reader ahead = {in->at + 2, in->end, 0};
    int low = hex4(&ahead);
    if (low < 0xdc00 || low > 0xdfff) return code;
    in->at = ahead.at;
    return 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
}

/* Reads a string, of which the first quote is read. */
static tt_json *read_string(reader *in) {
    const char *from = in->at;
    while (in->at < in->end && *in->at != '"') in->at += *in->at == '\\' && in->at + 1 < in->end ? 2 : 1;
    if (in->at >= in->end) return NULL;
    reader part = {from, in->at++, 0};
    char *text = tt_alloc((size_t)(part.end - from) + 1), *out = text;
    while (part.at < part.end) {
        if (*part.at != '\\') {
            if ((unsigned char)*part.at < 0x20) return NULL;
            *out++ = *part.at++;
            continue;
        }
        static const char names[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
        const char *known = part.at + 1 < part.end ? memchr(names, part.at[1], sizeof names - 1) : NULL;
        if (known) {
            *out++ = characters[known - names];
            part.at += 2;
            continue;
        }
        if (!accept(&part, "\\u")) return NULL;
        long code = escaped(&part);
        if (code < 0) return NULL;
        out = put_character(out, (unsigned)code);
    }
    tt_json *value = fresh(STRING);
    value->text = text;
    value->length = (size_t)(out - text);
    return value;
}

static tt_json *read_number(reader *in) {
    const char *from = in->at;
    while (in->at < in->end && strchr("+-.eE0123456789", *in->at) && *in->at) in->at++;
    char *text = tt_copy_text(from, (size_t)(in->at - from)), *end;
    strtod(text, &end);
    bool is_number = end != text && !*end && (text[0] == '-' ? text[1] : text[0]) >= '0' && text[0] != '+';
    return is_number ? with_text(NUMBER, text) : NULL;
}

static tt_json *read_list(reader *in, enum kind kind) {
    char close = kind == ARRAY ? ']' : '}';
    tt_json *list = fresh(kind);
    skip_spaces(in);
    if (in->at < in->end && *in->at == close) {
        in->at++;
        return list;
    }
    for (;;) {
        const char *name = NULL;
        skip_spaces(in);
        if (kind == OBJECT) {
            tt_json *read = accept(in, "\"") ? read_string(in) : NULL;
            if (!read) return NULL;
            name = read->text;
            skip_spaces(in);
            if (!accept(in, ":")) return NULL;
        }
        tt_json *item = read_value(in);
        if (!item) return NULL;
        append(list, name, item);
        skip_spaces(in);
        if (in->at < in->end && *in->at == close) {
            in->at++;
            return list;
        }
        if (!accept(in, ",")) return NULL;
    }
}

static tt_json *read_value(reader *in) {
    if (in->depth > 256) return NULL;
    skip_spaces(in);
    if (in->at >= in->end) return NULL;
    if (accept(in, "null")) return tt_null();
    if (accept(in, "true")) return tt_bool(true);
    if (accept(in, "false")) return tt_bool(false);
    if (accept(in, "\"")) return read_string(in);
    if (*in->at != '[' && *in->at != '{') return read_number(in);
    in->depth++;
    tt_json *list = read_list(in, *in->at++ == '[' ? ARRAY : OBJECT);
    in->depth--;
    return list;
}

tt_json *tt_parse(const char *text) {
    if (!text) return NULL;
    reader in = {text, text + strlen(text), 0};
    tt_json *value = read_value(&in);
    skip_spaces(&in);
    return value && in.at == in.end ? value : NULL;
}

/* --- Writing. --- */

typedef struct writer {
    char *text;
    size_t length, capacity;
} writer;

static void put(writer *out, const char *text, size_t length) {
    if (out->length + length + 1 > out->capacity) {
        size_t capacity = (out->length + length + 1) * 2;
        char *larger = tt_alloc(capacity);
        if (out->length) memcpy(larger, out->text, out->length);
        out->text = larger;
        out->capacity = capacity;
    }
    memcpy(out->text + out->length, text, length);
    out->length += length;
}

static void put_escape(writer *out, unsigned code) {
    char escape[8];
    put(out, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", code));
}

static void write_string(writer *out, const char *text, size_t length) {
    put(out, "\"", 1);
    for (size_t at = 0; at < length; at++) {
        unsigned char c = (unsigned char)text[at];
        static const char characters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
        const char *known = c ? memchr(characters, c, sizeof characters - 1) : NULL;
        if (known) {
            put(out, "\\", 1);
            put(out, &names[known - characters], 1);
        } else if (c < 0x20) {
            put_escape(out, c);
        } else if (c == 0xed && at + 2 < length && (unsigned char)text[at + 1] >= 0xa0) {
            put_escape(out, 0xd000u | (unsigned)(text[at + 1] & 63) << 6 | (unsigned)(text[at + 2] & 63));
            at += 2;
        } else {
            put(out, &text[at], 1);
        }
    }
    put(out, "\"", 1);
}

static void write_value(writer *out, const tt_json *value) {
    if (tt_is_null(value)) {
        put(out, "null", 4);
    } else if (value->kind == TRUE_ || value->kind == FALSE_) {
        put(out, value->kind == TRUE_ ? "true" : "false", value->kind == TRUE_ ? 4 : 5);
    } else if (value->kind == NUMBER) {
        put(out, value->text, value->length);
    } else if (value->kind == STRING) {
        write_string(out, value->text, value->length);
    } else {
        put(out, value->kind == ARRAY ? "[" : "{", 1);
        for (size_t at = 0; at < value->length; at++) {
            if (at) put(out, ",", 1);
            if (value->kind == OBJECT) {
                write_string(out, value->names[at], strlen(value->names[at]));
                put(out, ":", 1);
            }
            write_value(out, value->items[at]);
        }
        put(out, value->kind == ARRAY ? "]" : "}", 1);
    }
}

char *tt_write(const tt_json *value) {
    writer out = {0};
    write_value(&out, value);
    out.text[out.length] = 0;
    return out.text;
}
