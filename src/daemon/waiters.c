/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "daemon/waiters.h"

int waiters_add(Waiters *self, const Waiter *waiter) {
        Waiter *added = malloc(sizeof(*added));

        if (!added)
                return -ENOMEM;
        *added = *waiter;
        added->next = self->first;
        self->first = added;
        return 0;
}

void waiters_remove(Waiters *self, Waiter *waiter) {
        Waiter **at = &self->first;

        while (*at != waiter)
                at = &(*at)->next;
        *at = waiter->next;
        free(waiter);
}

Waiter *waiters_find(const Waiters *self, const Connection *connection) {
        for (Waiter *waiter = self->first; waiter; waiter = waiter->next)
                if (waiter->connection == connection)
                        return waiter;
        return NULL;
}

bool waiters_alone(const Waiters *self, const Waiter *waiter) {
        for (const Waiter *other = self->first; other; other = other->next)
                if (other != waiter && strcmp(other->job_id, waiter->job_id) == 0)
                        return false;
        return true;
}

const char *waiters_find_plan(const Waiters *self, unsigned generation) {
        for (const Waiter *waiter = self->first; waiter; waiter = waiter->next)
                if (waiter->kind == JOB_PLAN && waiter->deadline_usec != USEC_INFINITY &&
                    waiter->generation == generation)
                        return waiter->job_id;
        return NULL;
}

void waiters_started(Waiters *self, const char *job_id) {
        for (Waiter *waiter = self->first; waiter; waiter = waiter->next)
                if (strcmp(waiter->job_id, job_id) == 0)
                        waiter->deadline_usec = USEC_INFINITY;
}

Waiter *waiters_expired(const Waiters *self, uint64_t now_usec) {
        for (Waiter *waiter = self->first; waiter; waiter = waiter->next)
                if (waiter->deadline_usec <= now_usec)
                        return waiter;
        return NULL;
}

uint64_t waiters_deadline(const Waiters *self) {
        uint64_t usec = USEC_INFINITY;

        for (const Waiter *waiter = self->first; waiter; waiter = waiter->next)
                usec = MIN(usec, waiter->deadline_usec);
        return usec;
}

void waiters_done(Waiters *self) {
        while (self->first)
                waiters_remove(self, self->first);
}
