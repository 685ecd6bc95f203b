/* SPDX-License-Identifier: MIT */

/*
 * Runs that could not be written. They are the newest ones, in the order they were to be written, and
 * are told before those of the file until they are in it. The writer's thread adds and removes them,
 * the reader's reads them, under a mutex.
 *
 * They are bounded. What is dropped for that is the oldest: no name is lost with it, since a clear
 * takes names only once the file has them.
 */

#include <pthread.h>
#include <string.h>

#include "store/sql.h"

#define BYTES_MAX (8U * 1024 * 1024)

typedef struct UnwrittenRun {
        Run run;
        char *json;
        size_t n_json;
} UnwrittenRun;

struct Unwritten {
        pthread_mutex_t mutex;
        UnwrittenRun v[UNWRITTEN_MAX];
        size_t n, bytes;
};

Unwritten *unwritten_new(void) {
        Unwritten *unwritten = calloc(1, sizeof(*unwritten));

        if (unwritten)
                pthread_mutex_init(&unwritten->mutex, NULL);
        return unwritten;
}

static void remove_at(Unwritten *unwritten, size_t i) {
        unwritten->bytes -= unwritten->v[i].n_json;
        free(unwritten->v[i].json);
        memmove(&unwritten->v[i], &unwritten->v[i + 1],
                (--unwritten->n - i) * sizeof(*unwritten->v));
}

Unwritten *unwritten_free(Unwritten *unwritten) {
        if (unwritten) {
                while (unwritten->n > 0)
                        remove_at(unwritten, unwritten->n - 1);
                pthread_mutex_destroy(&unwritten->mutex);
                free(unwritten);
        }
        return NULL;
}

/* The place of a run, or n. */
static size_t find(const Unwritten *unwritten, const char *id) {
        size_t i = 0;

        while (i < unwritten->n && strcmp(unwritten->v[i].run.id, id) != 0)
                i++;
        return i;
}

void unwritten_add(Unwritten *unwritten, const Run *run, char *json) {
        size_t n_json = strlen(json), i;

        pthread_mutex_lock(&unwritten->mutex);
        i = find(unwritten, run->id);
        if (i < unwritten->n)
                remove_at(unwritten, i);
        while (unwritten->n > 0 &&
               (unwritten->n == UNWRITTEN_MAX || unwritten->bytes + n_json > BYTES_MAX))
                remove_at(unwritten, 0);
        unwritten->v[unwritten->n++] = (UnwrittenRun){ *run, json, n_json };
        unwritten->bytes += n_json;
        pthread_mutex_unlock(&unwritten->mutex);
}

void unwritten_remove(Unwritten *unwritten, const char *id) {
        size_t i;

        pthread_mutex_lock(&unwritten->mutex);
        i = find(unwritten, id);
        if (i < unwritten->n)
                remove_at(unwritten, i);
        pthread_mutex_unlock(&unwritten->mutex);
}

const char *unwritten_first(const Unwritten *unwritten, const char *except, Run *ret) {
        size_t i = 0;

        while (i < unwritten->n && except && strcmp(unwritten->v[i].run.id, except) == 0)
                i++;
        if (i == unwritten->n)
                return NULL;
        *ret = unwritten->v[i].run;
        return unwritten->v[i].json;
}

bool unwritten_has(Unwritten *unwritten, const char *id) {
        bool has;

        pthread_mutex_lock(&unwritten->mutex);
        has = find(unwritten, id) < unwritten->n;
        pthread_mutex_unlock(&unwritten->mutex);
        return has;
}

size_t unwritten_count(Unwritten *unwritten) {
        size_t n;

        pthread_mutex_lock(&unwritten->mutex);
        n = unwritten->n;
        pthread_mutex_unlock(&unwritten->mutex);
        return n;
}

size_t unwritten_list(Unwritten *unwritten, Run ret[static UNWRITTEN_MAX]) {
        size_t n;

        pthread_mutex_lock(&unwritten->mutex);
        n = unwritten->n;
        for (size_t i = 0; i < n; i++)
                ret[i] = unwritten->v[n - 1 - i].run;
        pthread_mutex_unlock(&unwritten->mutex);
        return n;
}

int unwritten_read(Unwritten *unwritten, const char *id, Run *ret_run, char **ret_json) {
        int r = -ENOENT;
        size_t i;

        pthread_mutex_lock(&unwritten->mutex);
        i = find(unwritten, id);
        if (i < unwritten->n) {
                *ret_run = unwritten->v[i].run;
                *ret_json = strdup(unwritten->v[i].json);
                r = *ret_json ? 0 : -ENOMEM;
        }
        pthread_mutex_unlock(&unwritten->mutex);
        return r;
}
