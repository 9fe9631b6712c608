/* What the files of the SDK share. */
#ifndef TURNTABLE_INTERNAL_H
#define TURNTABLE_INTERNAL_H

#include <stdarg.h>

#include "turntable.h"

/* Why a call or a turn failed. `code` is NULL if it did not. */
typedef struct tt_fault {
    const char *code, *message, *detail;
    uint32_t retry_after_ms;
} tt_fault;

/* An etag that a value was read with; an empty one if there was no value. */
typedef struct tt_etag {
    const char *scope, *key, *etag;
    struct tt_etag *next;
} tt_etag;

struct tt_internal {
    tt_fault fault;
    tt_etag *etags;
};

char *tt_copy_text(const char *text, size_t length);
char *tt_vformat(const char *format, va_list arguments);
const char *tt_name_at(const tt_json *object, size_t index);
bool tt_is_object(const tt_json *value);
const char *tt_hashed(const char *text);
uint64_t tt_fnv(const char *text);

/* The functions of the contract. The component has those of the host (wasm.c), the test host those of a test. A function that
 * fails sets the fault. Texts of activities, values and options are JSON. */
const char *tt_host_stage(bool is_reply, const char *activity, tt_fault *fault);
void tt_host_update(const char *id, const char *activity, tt_fault *fault);
void tt_host_delete(const char *id, tt_fault *fault);
void tt_host_flush(tt_fault *fault);
void tt_host_respond(uint32_t status, const char *body, tt_fault *fault);
const char *tt_host_state_get(const char *scope, const char *key, const char **etag, tt_fault *fault);
const char *tt_host_state_set(const char *scope, const char *key, const char *value, const char *etag, tt_fault *fault);
void tt_host_state_remove(const char *scope, const char *key, const char *etag, tt_fault *fault);
const char *tt_host_config(const char *key);
tt_json *tt_host_config_keys(void);
void tt_host_log(const char *level, const char *message, const char **fields, uint32_t count);
const char *tt_host_begin(bool replaces, const char *dialog, const char *options, tt_fault *fault);
uint32_t tt_host_cancel_all(tt_fault *fault);
bool tt_host_reprompt(tt_fault *fault);
tt_json *tt_host_stack(tt_fault *fault);
const char *tt_host_reference(tt_fault *fault);
const char *tt_host_notify(const char *reference, const char *mode, const char *content, tt_fault *fault);
const char *tt_host_schedule(const char *name, const char *at, const char *reference, const char *mode, const char *content,
                             tt_fault *fault);
bool tt_host_cancel(const char *id, tt_fault *fault);
double tt_host_now(void);

/* What the contract exports. A step of kind NULL means that the fault is set. */
const char *tt_describe(void);
tt_flow tt_on_activity(tt_meta meta, const char *activity, tt_fault *fault);
tt_step tt_on_dialog(tt_meta meta, const char *kind, const char *name, const char *data, const char *state, tt_fault *fault);
tt_step tt_on_event(tt_meta meta, const char *kind, const char *name, const char *data, tt_fault *fault);

/* The styles of dialogs. */
tt_step tt_waterfall_event(const tt_dialog *dialog, tt_turn *turn, tt_event_of_dialog event, const tt_json *state);
tt_step tt_straight_event(const tt_dialog *dialog, tt_turn *turn, tt_event_of_dialog event, const tt_json *state);
tt_step tt_validate(const tt_dialog *dialog, tt_turn *turn, const tt_json *data);
tt_step tt_hook_cancelled(const tt_dialog *dialog, tt_turn *turn, const tt_json *data);
bool tt_is_own(const tt_json *state, const char *kind, const char *member);
tt_outcome tt_outcome_of(tt_event_of_dialog event);

#endif
