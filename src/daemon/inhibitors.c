/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "daemon/inhibitors.h"

Request *request_free(Request *request) {
        if (request) {
                job_free(request->clear);
                free(request->why);
                free(request->who.user);
                free(request->who.command);
                free(request);
        }
        return NULL;
}

bool inhibitor_token_valid(const char *token) {
        size_t n = strspn(token, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "_-");

        return token[n] == '\0' && n >= TOKEN_MIN && n < TOKEN_MAX;
}

/* The inhibitor with this token (or NULL) if it is held. */
static const Request *find_held(const Inhibitors *self, const char *token) {
        for (const Request *request = self->first; request && token; request = request->next)
                if (request->held && strcmp(request->token, token) == 0)
                        return request;
        return NULL;
}

static bool same_root(const Request *inhibitor, const Request *other) {
        return other && strcmp(inhibitor->root, other->root) == 0;
}

void inhibitors_add(Inhibitors *self, Request *request, const char *outer) {
        const Request *held = find_held(self, outer);
        Request **at = &self->first;

        if (!request->clear)
                strcpy(request->root, held ? held->root : outer ?: request->token);
        while (*at)
                at = &(*at)->next;
        *at = request;
}

Request *inhibitors_take(Inhibitors *self, Request *request) {
        for (Request **at = &self->first; *at; at = &(*at)->next)
                if (*at == request) {
                        *at = request->next;
                        request->next = NULL;
                        break;
                }
        return request;
}

/* Whether a clear with `token` has to wait. `end` is its own request in the queue; NULL: it comes last. */
static bool blocked(const Inhibitors *self, const char *token, const Request *end) {
        const Request *own = find_held(self, token);
        bool before = true;

        for (const Request *request = self->first; request; request = request->next) {
                before = before && request != end;
                if (request->clear)
                        continue;
                if (request->held ? !same_root(request, own) : !own && before)
                        return true;
        }
        return false;
}

bool inhibitors_block(const Inhibitors *self, const char *token) {
        return blocked(self, token, NULL);
}

static bool may_hold(const Inhibitors *self, const Request *inhibitor, bool removing) {
        for (const Request *request = self->first; request; request = request->next)
                if (request->held && same_root(request, inhibitor))
                        return true;
        if (removing)
                return false;
        for (const Request *request = self->first; request != inhibitor; request = request->next)
                if (request->clear)
                        return false;
        return true;
}

Request *inhibitors_next(const Inhibitors *self, bool removing) {
        for (Request *request = self->first; request; request = request->next)
                if (request->clear ? !blocked(self, request->token, request)
                                   : !request->held && may_hold(self, request, removing))
                        return request;
        return NULL;
}

void request_hold(Request *request, uint64_t now_usec, int64_t now_sec) {
        request->held = true;
        request->deadline_usec = now_usec + request->ttl_usec;
        request->since_sec = now_sec;
        request->until_sec = now_sec + (int64_t)(request->ttl_usec / USEC_PER_SEC);
}

Request *inhibitors_expired(const Inhibitors *self, uint64_t now_usec) {
        for (Request *request = self->first; request; request = request->next)
                if (request->deadline_usec <= now_usec)
                        return request;
        return NULL;
}

uint64_t inhibitors_deadline(const Inhibitors *self) {
        uint64_t usec = USEC_INFINITY;

        for (const Request *request = self->first; request; request = request->next)
                usec = MIN(usec, request->deadline_usec);
        return usec;
}

Request *inhibitors_find(const Inhibitors *self, const Connection *connection) {
        for (Request *request = self->first; request; request = request->next)
                if (request->connection == connection)
                        return request;
        return NULL;
}

bool inhibitors_full(const Inhibitors *self, uid_t uid) {
        size_t n = 0, n_user = 0;

        for (const Request *request = self->first; request; request = request->next) {
                n += !request->clear;
                n_user += !request->clear && request->who.uid == uid;
        }
        return n >= INHIBITORS_MAX || n_user >= INHIBITORS_PER_USER_MAX;
}

size_t inhibitors_count(const Inhibitors *self) {
        size_t n = 0;

        for (const Request *request = self->first; request; request = request->next)
                n += request->held;
        return n;
}

size_t inhibitors_waiting(const Inhibitors *self) {
        size_t n = 0;

        for (const Request *request = self->first; request; request = request->next)
                n += request->clear != NULL;
        return n;
}

char *request_text(const Request *inhibitor) {
        const Who *who = &inhibitor->who;

        return who->user
                       ? text_format("'%s' of %s (pid %i)", inhibitor->why, who->user, who->pid)
                       : text_format("'%s' of uid %u (pid %i)", inhibitor->why, who->uid, who->pid);
}

char *inhibitors_text(const Inhibitors *self, const char *token) {
        cleanup(strv_done) Strv list = STRV_NULL;
        const Request *own = find_held(self, token);

        for (const Request *request = self->first; request; request = request->next) {
                cleanup_free char *text = NULL;

                if (!request->held || same_root(request, own))
                        continue;
                text = request_text(request);
                if (!text || strv_add(&list, text) < 0)
                        return NULL;
        }
        return strv_join(&list, ", ");
}

void inhibitors_done(Inhibitors *self) {
        while (self->first)
                request_free(inhibitors_take(self, self->first));
}
