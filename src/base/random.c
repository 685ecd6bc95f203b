/* SPDX-License-Identifier: MIT */

#include "base/random.h"

#include <assert.h>
#include <stdio.h>
#include <sys/random.h>

int random_hex(size_t n, char *ret) {
        unsigned char bytes[64];

        assert(n <= sizeof(bytes));
        /* getrandom(2) never returns fewer bytes than asked for, up to 256 */
        if (getrandom(bytes, n, 0) < 0)
                return -errno;
        for (size_t i = 0; i < n; i++)
                sprintf(ret + 2 * i, "%02x", bytes[i]);
        return 0;
}
