/* SPDX-License-Identifier: MIT */

/*
 * A connection handles one call in a turn of the loop, and none while its peer has not read the last reply. So
 * a client delays another client by the time of one call at most, and memory is bounded by the size of one reply.
 * Users whose calls took the least time lately go first.
 *
 * A connection must not be freed while one of its callbacks is on the stack. It is only marked dead there, and
 * freed by a deferred event of its own.
 */

#include <string.h>
#include <sys/epoll.h>

#include "base/span.h"
#include "daemon/connection.h"
#include "wire/interface.h"

void connection_free(Connection *connection) {
        Server *server = connection->server;

        sd_event_source_disable_unref(connection->io);
        sd_event_source_disable_unref(connection->timer);
        sd_event_source_disable_unref(connection->next_call);
        sd_event_source_disable_unref(connection->bury);
        frame_reader_done(&connection->reader);
        frame_writer_done(&connection->writer);
        peer_done(&connection->peer);
        close(connection->fd);
        if (connection->next)
                connection->next->previous = connection->previous;
        if (connection->previous)
                connection->previous->next = connection->next;
        else
                server->first = connection->next;
        free(connection);
}

static int on_bury(sd_event_source *source, void *userdata) {
        Connection *connection = userdata;

        connection->server->handler.gone(connection->server->handler.userdata, connection);
        connection_free(connection);
        return 0;
}

void connection_kill(Connection *connection) {
        if (connection->dead)
                return;
        connection->dead = true;
        sd_event_source_set_enabled(connection->io, SD_EVENT_OFF);
        sd_event_source_set_enabled(connection->timer, SD_EVENT_OFF);
        sd_event_source_set_enabled(connection->next_call, SD_EVENT_OFF);
        sd_event_source_set_enabled(connection->bury, SD_EVENT_ONESHOT);
}

/* The time that this user's calls took lately. If the table is full, it replaces the user with the least time. */
static Spender *find_spender(Server *server, uid_t uid) {
        uint64_t now_usec = now_monotonic_usec();
        Spender *least = NULL;

        for (size_t i = 0; i < SPENDERS_MAX; i++) {
                Spender *spender = &server->spenders[i];

                for (; spender->usec > 0 && now_usec >= spender->half_usec;
                     spender->half_usec += SPENT_HALF_USEC)
                        spender->usec /= 2;
                if (spender->uid == uid)
                        return spender;
                if (!least || spender->usec < least->usec)
                        least = spender;
        }
        *least = (Spender){ .uid = uid };
        return least;
}

static void spend(Connection *connection, uint64_t begin_usec) {
        Spender *spender = find_spender(connection->server, connection->peer.uid);
        uint64_t now_usec = now_monotonic_usec();

        if (spender->usec == 0)
                spender->half_usec = now_usec + SPENT_HALF_USEC;
        spender->usec += now_usec - begin_usec;
}

/* Users whose calls took the least time lately go first, after the daemon's own work; those without a
 * right go last. */
static void set_priority(Connection *connection) {
        uint64_t usec = find_spender(connection->server, connection->peer.uid)->usec;
        int64_t priority = SD_EVENT_PRIORITY_NORMAL +
                           (int64_t)MIN(usec / USEC_PER_MSEC, (uint64_t)SPENT_PRIORITY_MAX);

        if (connection->right == RIGHT_NONE)
                priority = SD_EVENT_PRIORITY_IDLE;
        sd_event_source_set_priority(connection->io, priority);
        sd_event_source_set_priority(connection->next_call, priority);
}

/* Sets the events to wait for, and the time-out. */
void connection_arm(Connection *connection) {
        /* While a call is in progress only the peer's going away is of interest, which epoll tells
         * unasked. A peer that only shut down its own side still waits for the answer. */
        bool idle = !connection->in_call && frame_writer_empty(&connection->writer) &&
                    !connection->server->stopping;
        bool ready = idle && frame_reader_ready(&connection->reader);
        bool midway = !idle || (!ready && frame_reader_partial(&connection->reader));
        uint32_t events = 0;

        if (connection->dead)
                return;
        if (idle && !ready && connection->eof) {
                connection_kill(connection);
                return;
        }
        if (idle && !ready)
                events |= EPOLLIN;
        if (!frame_writer_empty(&connection->writer))
                events |= EPOLLOUT;
        sd_event_source_set_io_events(connection->io, events);
        set_priority(connection);
        /* From the loop, not from here: others have their turn first, and a handler may be on the
         * stack. */
        sd_event_source_set_enabled(connection->next_call, ready ? SD_EVENT_ONESHOT : SD_EVENT_OFF);

        if (connection->in_call) {
                sd_event_source_set_enabled(connection->timer, SD_EVENT_OFF);
                return;
        }
        if (midway != connection->midway || connection->since_usec == 0)
                connection->since_usec = now_boottime_usec();
        connection->midway = midway;
        sd_event_source_set_time(connection->timer,
                                 connection->since_usec + (midway ? MESSAGE_USEC : IDLE_USEC));
        sd_event_source_set_enabled(connection->timer, SD_EVENT_ONESHOT);
}

static int on_connection_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        connection_kill(userdata);
        return 0;
}

static void connection_flush(Connection *connection) {
        size_t n = frame_writer_waiting(&connection->writer);

        if (!connection->dead && frame_flush(&connection->writer, connection->fd) < 0)
                connection_kill(connection);
        if (frame_writer_waiting(&connection->writer) < n)
                connection->since_usec = 0;
}

/* Whether `c` is closed before `than` if peers do not read their replies. */
static bool holds_more(const Connection *c, const Connection *than) {
        return c->right != than->right
                       ? c->right < than->right
                       : frame_writer_waiting(&c->writer) > frame_writer_waiting(&than->writer);
}

/* Bounds the unsent output of all connections together. Connections with the least rights are closed first. */
static void bound_output(Server *server) {
        for (;;) {
                Connection *worst = NULL;
                size_t n_bytes = 0;

                for (Connection *c = server->first; c; c = c->next) {
                        if (c->dead || frame_writer_empty(&c->writer))
                                continue;
                        n_bytes += frame_writer_waiting(&c->writer);
                        if (!worst || holds_more(c, worst))
                                worst = c;
                }
                if (n_bytes <= SERVER_OUTPUT_BYTES_MAX)
                        return;
                connection_kill(worst);
        }
}

/* Queues a message, or kills the connection if the message could not be made (`r` < 0). */
static void connection_send(Connection *connection, int r, const char *text) {
        if (connection->dead)
                return;
        if (r >= 0)
                r = frame_queue(&connection->writer, text, strlen(text));
        if (r < 0) {
                connection_kill(connection);
                return;
        }
        connection_flush(connection);
        if (!connection->dead && !frame_writer_empty(&connection->writer))
                bound_output(connection->server);
}

static void connection_end_call(Connection *connection) {
        connection->in_call = connection->oneway = false;
        connection->since_usec = 0;
}

/* Lists are shortened where the reply is made (janitor/job.c). A reply that is still too long becomes an error, so
 * that the caller does not mistake it for a daemon that went away. */
static void reply_too_long(Connection *connection) {
        cleanup(json_free) Json *parameters = json_new_object();

        if (json_add_string(parameters, "reason", "the answer is longer than a reply may be") < 0)
                connection_kill(connection);
        else
                connection_error(connection, ERROR_JOB_FAILED, parameters);
}

void connection_reply(Connection *connection, const Json *parameters, bool continues) {
        cleanup_free char *text = NULL;
        int r;

        if (!connection->in_call)
                return;
        if (!connection->oneway) {
                r = varlink_reply_text(parameters, continues, &text);
                if (r >= 0 && strlen(text) >= connection->writer.max) {
                        reply_too_long(connection);
                        return;
                }
                connection_send(connection, r, text);
        }
        if (!continues)
                connection_end_call(connection);
        connection_arm(connection);
}

void connection_error(Connection *connection, const char *error, const Json *parameters) {
        cleanup_free char *text = NULL;
        int r;

        if (!connection->in_call)
                return;
        if (!connection->oneway) {
                r = varlink_error_text(error, parameters, &text);
                connection_send(connection, r, text);
        }
        connection_end_call(connection);
        connection_arm(connection);
}

const Peer *connection_peer(const Connection *connection) {
        return &connection->peer;
}

static int on_next_call(sd_event_source *source, void *userdata) {
        cleanup(varlink_call_done) VarlinkCall call = { 0 };
        cleanup_free char *message = NULL;
        Connection *connection = userdata;
        Server *server = connection->server;
        uint64_t begin_usec = now_monotonic_usec();
        size_t n;

        if (frame_next(&connection->reader, &message, &n) <= 0 ||
            varlink_call_parse(message, n, &call, NULL) < 0) {
                /* Not a Varlink peer: the start of the next message is unknown. */
                connection_kill(connection);
                return 0;
        }
        connection->in_call = true;
        connection->oneway = call.oneway;
        server->handler.call(server->handler.userdata, connection, &call);
        spend(connection, begin_usec);
        connection_arm(connection);
        return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        uint64_t begin_usec = now_monotonic_usec();
        Connection *connection = userdata;
        int r;

        if (revents & EPOLLOUT)
                connection_flush(connection);
        if (revents & (EPOLLHUP | EPOLLERR) && !(revents & EPOLLIN))
                connection_kill(connection);
        if (revents & EPOLLIN && !connection->dead) {
                r = frame_read(&connection->reader, fd);
                if (r == 0)
                        connection->eof = true;
                else if (r < 0 && r != -EAGAIN)
                        connection_kill(connection);
        }
        spend(connection, begin_usec);
        connection_arm(connection);
        return 0;
}

int connection_new(Server *server, int fd, Peer *peer) {
        Connection *connection = calloc(1, sizeof(*connection));
        int r;

        if (!connection)
                return -ENOMEM;
        connection->server = server;
        connection->fd = fd;
        connection->peer = *peer;
        connection->right = server->handler.right(server->handler.userdata, peer);
        *peer = (Peer){ 0 };
        frame_reader_init(&connection->reader, FRAME_MESSAGE_MAX);
        frame_writer_init(&connection->writer, CONNECTION_OUTPUT_BYTES_MAX);
        connection->next = server->first;
        if (server->first)
                server->first->previous = connection;
        server->first = connection;

        r = sd_event_add_io(server->event, &connection->io, fd, EPOLLIN, on_io, connection);
        if (r >= 0)
                r = sd_event_add_time(server->event, &connection->timer, CLOCK_BOOTTIME, 0,
                                      100 * USEC_PER_MSEC, on_connection_timeout, connection);
        if (r >= 0)
                r = sd_event_add_defer(server->event, &connection->next_call, on_next_call,
                                       connection);
        if (r >= 0)
                r = sd_event_source_set_enabled(connection->next_call, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(server->event, &connection->bury, on_bury, connection);
        if (r >= 0)
                r = sd_event_source_set_enabled(connection->bury, SD_EVENT_OFF);
        if (connection->right == RIGHT_NONE)
                frame_writer_init(&connection->writer, CONNECTION_OUTPUT_NO_RIGHT_BYTES_MAX);
        if (r < 0) {
                connection->fd = -EBADF; /* still the caller's */
                connection_free(connection);
                return r;
        }
        connection_arm(connection);
        return 0;
}
