/* SPDX-License-Identifier: MIT */

#include "ctl/gate.h"

#include <stdio.h>
#include <string.h>

#include "ctl/fail.h"

const char *gate_list(char **names, char buffer[static GATE_LIST_MAX]) {
        size_t n = 0;

        buffer[0] = '\0';
        for (; *names && n < GATE_LIST_MAX; names++)
                n += (size_t)snprintf(buffer + n, GATE_LIST_MAX - n, "%s%s", n > 0 ? ", " : "",
                                      *names);
        return buffer;
}

int gate_check(const char *verb, char **allowed) {
        char text[GATE_LIST_MAX];

        for (char **name = allowed; *name; name++)
                if (strcmp(verb, *name) == 0)
                        return CTL_DONE;
        return ctl_fail(CTL_NOT_PERMITTED, "ssh-gate: '%s' is not allowed; what is: %s", verb,
                        gate_list(allowed, text));
}

int gate_refuse_option(const char *option) {
        return ctl_fail(CTL_NOT_PERMITTED, "ssh-gate: %s is not allowed", option);
}
