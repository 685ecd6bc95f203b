/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "daemon/parameters.h"
#include "daemon/reply.h"
#include "wire/interface.h"

static bool is_known(const Parameter *table, size_t n, const char *name) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(table[i].name, name) == 0)
                        return true;
        return false;
}

static bool in_range(const Parameter *parameter, int64_t value) {
        return parameter->max == 0 || (value >= parameter->min && value <= parameter->max);
}

/* Returns 1 if the parameter is there, 0 if it is absent, -EINVAL if it is wrong. */
static int read_parameter(const Json *parameters, const Parameter *parameter, void *ret) {
        void *member = (char *)ret + parameter->offset;
        int64_t *integer = member;
        const char **text = member;
        int r;

        switch (parameter->type) {
        case PARAMETER_BOOL:
                return json_read_bool(parameters, parameter->name, member);
        case PARAMETER_INT:
                r = json_read_int(parameters, parameter->name, integer);
                return r > 0 && !in_range(parameter, *integer) ? -EINVAL : r;
        default:
                r = json_read_string(parameters, parameter->name, text);
                if (r > 0 && (!in_range(parameter, (int64_t)strlen(*text)) ||
                              (parameter->valid && !parameter->valid(*text))))
                        return -EINVAL;
                return r;
        }
}

bool read_parameters(Connection *connection, const VarlinkCall *call, const Parameter *table,
                     size_t n, void *ret) {
        const char *wrong = NULL;

        json_foreach (member, call->parameters) {
                if (!wrong && !is_known(table, n, json_name(member)))
                        wrong = json_name(member);
        }
        for (size_t i = 0; i < n && !wrong; i++) {
                int r = read_parameter(call->parameters, &table[i], ret);

                if (r < 0 || (r == 0 && table[i].required))
                        wrong = table[i].name;
        }
        if (wrong)
                reply_error(connection, ERROR_INVALID_PARAMETER, "parameter", wrong);
        return !wrong;
}

bool read_nothing(Connection *connection, const VarlinkCall *call) {
        return read_parameters(connection, call, NULL, 0, NULL);
}
