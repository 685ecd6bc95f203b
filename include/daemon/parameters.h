/* SPDX-License-Identifier: MIT */
#pragma once

/* The parameters of a method call as members of a struct, read by a table. */

#include "daemon/server.h"

typedef enum ParameterType { PARAMETER_STRING, PARAMETER_BOOL, PARAMETER_INT } ParameterType;

typedef struct Parameter {
        const char *name;
        ParameterType type;
        size_t offset; /* of the member: const char *, bool or int64_t */
        bool required;
        int64_t min, max;                /* of an integer, or of a string's length; max 0: any */
        bool (*valid)(const char *text); /* string; NULL: any */
} Parameter;

/*
 * Reads parameters into `ret`; those that are absent leave their member as it is. Strings are borrowed from
 * the call. If a parameter is wrong, its name is replied, and false returned. Unknown parameters are wrong,
 * too, since a misspelt option must not change what a clear does.
 */
bool read_parameters(Connection *connection, const VarlinkCall *call, const Parameter *table,
                     size_t n, void *ret);
/* The same of a method without parameters. */
bool read_nothing(Connection *connection, const VarlinkCall *call);
