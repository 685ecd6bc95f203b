/* SPDX-License-Identifier: MIT */

#include "base/bytes.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/decimal.h"

static const struct {
        const char *name;
        uint64_t bytes;
} units[] = {
        { "", 1 },
        { "B", 1 },
        { "k", UINT64_C(1000) },
        { "kB", UINT64_C(1000) },
        { "kiB", UINT64_C(1) << 10 },
        { "M", UINT64_C(1000000) },
        { "MB", UINT64_C(1000000) },
        { "MiB", UINT64_C(1) << 20 },
        { "G", UINT64_C(1000000000) },
        { "GB", UINT64_C(1000000000) },
        { "GiB", UINT64_C(1) << 30 },
        { "T", UINT64_C(1000000000000) },
        { "TB", UINT64_C(1000000000000) },
        { "TiB", UINT64_C(1) << 40 },
        { "P", UINT64_C(1000000000000000) },
        { "PB", UINT64_C(1000000000000000) },
        { "PiB", UINT64_C(1) << 50 },
};

int bytes_parse(const char *text, uint64_t *ret_bytes) {
        Decimal number;
        const char *p = text;
        int r;

        r = decimal_read(&p, &number);
        if (r < 0)
                return r;
        if (*p == ' ' && p[1] != '\0')
                p++;

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strcasecmp(p, units[i].name) == 0)
                        return decimal_scale(&number, units[i].bytes, INT64_MAX, ret_bytes);
        return -EINVAL;
}

char *bytes_format(uint64_t bytes, char buffer[static BYTES_TEXT_MAX]) {
        static const char *const suffixes[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
        double value = (double)bytes;
        size_t i = 0;

        for (; value >= 1000 && i + 1 < ELEMENTSOF(suffixes); i++)
                value /= 1000;
        snprintf(buffer, BYTES_TEXT_MAX, "%.4g%s", value, suffixes[i]);
        return buffer;
}
