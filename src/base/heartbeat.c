/* SPDX-License-Identifier: MIT */

#include "base/heartbeat.h"

static _Thread_local Heartbeat *counter;

void heartbeat_count(Heartbeat *heartbeat) {
        counter = heartbeat;
}

void heartbeat(void) {
        if (counter)
                atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
