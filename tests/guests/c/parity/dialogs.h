/* The dialogs of the parity bot. */
#include "turntable.h"

/* Returns the dialogs of a release of the plugin. */
const tt_dialog *const *parity_dialogs(int release);
/* Returns the release that serves. */
int parity_release(void);
