/* SPDX-License-Identifier: MIT */

/*
 * Accepts connections, and closes others to make room. Nothing here blocks; after a failure of accept4(2) there is a
 * pause.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/span.h"
#include "daemon/connection.h"

/* Without descriptors or memory, accept4(2) would fail again at once: it is tried again after ACCEPT_PAUSE_USEC, and
 * logged once in ACCEPT_TOLD_USEC. */
#define ACCEPT_PAUSE_USEC (200 * USEC_PER_MSEC)
#define ACCEPT_TOLD_USEC USEC_PER_MINUTE
/* A client that connects as fast as possible must not fill the backlog, so many connections are accepted in one
 * turn of the loop; nor delay replies, so the number of such turns in a time is limited. */
#define ACCEPT_BATCH 32
#define ACCEPT_TURNS 12
#define ACCEPT_TURNS_USEC (10 * USEC_PER_MSEC)

static bool is_busy(const Connection *connection) {
        return connection->in_call || !frame_writer_empty(&connection->writer);
}

/* Whether `c` is closed before `than` to make room for a new connection. */
static bool is_closed_before(const Connection *c, const Connection *than) {
        if (c->right != than->right)
                return c->right < than->right;
        return is_busy(c) != is_busy(than) ? is_busy(than) : c->since_usec < than->since_usec;
}

/* The connection to close for a new one of this right: of one user, or (uid -1) of any user. A connection with a call
 * in progress is closed only if its peer has no right. */
static Connection *find_victim(Server *server, Right right, uid_t uid) {
        Connection *found = NULL;

        for (Connection *c = server->first; c; c = c->next) {
                if (c->dead || c->right > right || (is_busy(c) && c->right != RIGHT_NONE) ||
                    (uid != (uid_t)-1 && c->peer.uid != uid))
                        continue;
                if (!found || is_closed_before(c, found))
                        found = c;
        }
        return found;
}

/* Whether there is a place for one more connection of this right, without those kept for other rights. */
static bool place_left(const size_t n[static RIGHT_MAX], Right right) {
        static const size_t kept[RIGHT_MAX] = {
                [RIGHT_ACT] = CONNECTIONS_KEPT,
                [RIGHT_ROOT] = CONNECTIONS_KEPT,
        };
        size_t n_taken = 0;

        if (right == RIGHT_NONE && n[RIGHT_NONE] >= CONNECTIONS_NO_RIGHT_MAX)
                return false;
        for (Right other = 0; other < RIGHT_MAX; other++)
                n_taken += other == right ? n[other] : MAX(n[other], kept[other]);
        return n_taken < CONNECTIONS_MAX;
}

/* Makes room for one more connection of this user: 0, or -EUSERS if there is none. */
static int make_place(Server *server, const Peer *peer) {
        Right right = server->handler.right(server->handler.userdata, peer);
        size_t max_user =
                right == RIGHT_NONE ? CONNECTIONS_NO_RIGHT_PER_USER_MAX : CONNECTIONS_PER_USER_MAX;
        size_t n[RIGHT_MAX] = { 0 }, n_user = 0;
        Connection *victim;

        for (Connection *c = server->first; c; c = c->next)
                if (!c->dead) {
                        n[c->right]++;
                        n_user += c->peer.uid == peer->uid && c->right <= right;
                }
        if (n_user >= max_user)
                victim = find_victim(server, right, peer->uid);
        else if (!place_left(n, right))
                victim = find_victim(server, right, (uid_t)-1);
        else
                return 0;
        if (!victim)
                return -EUSERS;
        connection_kill(victim);
        return 0;
}

/* Whether accept4(2) may be tried again without a pause. */
static bool is_transient(int error) {
        return error == EAGAIN || error == EINTR || error == ECONNABORTED;
}

static int accept_one(Server *server) {
        int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), r;
        Peer peer = { 0 };

        if (fd < 0)
                return -errno;
        r = peer_read(fd, &peer);
        if (r >= 0)
                r = make_place(server, &peer);
        if (r >= 0)
                r = connection_new(server, fd, &peer);
        if (r < 0)
                close(fd);
        peer_done(&peer);
        return 0;
}

static int on_accept(sd_event_source *source, int listen_fd, uint32_t revents, void *userdata) {
        Server *server = userdata;
        int r = 0;

        for (int i = 0; i < ACCEPT_BATCH && r >= 0; i++)
                r = accept_one(server);
        if (r >= 0 || is_transient(-r))
                return 0;
        if (server->accept_told_usec == 0 ||
            now_boottime_usec() >= server->accept_told_usec + ACCEPT_TOLD_USEC) {
                log_warning("Cannot take connections for the moment: %s", strerror(-r));
                server->accept_told_usec = now_boottime_usec();
        }
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        sd_event_source_set_time_relative(server->accept_timer, ACCEPT_PAUSE_USEC);
        return sd_event_source_set_enabled(server->accept_timer, SD_EVENT_ONESHOT);
}

static int on_accept_again(sd_event_source *source, uint64_t usec, void *userdata) {
        Server *server = userdata;

        return sd_event_source_set_enabled(server->accept, SD_EVENT_ON);
}

int server_new(sd_event *event, int listen_fd, const char *path, const ServerHandler *handler,
               Server **ret, Diag *reterr_diag) {
        cleanup(server_free) Server *server = calloc(1, sizeof(*server));
        int r;

        if (!server) {
                cleanup_closep(&listen_fd);
                return -ENOMEM;
        }
        server->event = sd_event_ref(event);
        server->handler = *handler;
        server->listener = (Listener){ .fd = listen_fd };
        if (listen_fd < 0) {
                r = listener_make(path, &server->listener, reterr_diag);
                if (r < 0)
                        return r;
        }
        if (fcntl(server->listener.fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(event, &server->accept, server->listener.fd, EPOLLIN, on_accept,
                            server);
        if (r >= 0)
                r = sd_event_add_time(event, &server->accept_timer, CLOCK_MONOTONIC, 0, 0,
                                      on_accept_again, server);
        if (r >= 0)
                r = sd_event_source_set_ratelimit(server->accept, ACCEPT_TURNS_USEC, ACCEPT_TURNS);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->accept_timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(server);
        return 0;
}

Server *server_free(Server *server) {
        if (!server)
                return NULL;
        while (server->first)
                connection_free(server->first);
        sd_event_source_disable_unref(server->accept);
        sd_event_source_disable_unref(server->accept_timer);
        listener_done(&server->listener);
        sd_event_unref(server->event);
        free(server);
        return NULL;
}

void server_stop(Server *server) {
        server->stopping = true;
        sd_event_source_set_enabled(server->accept, SD_EVENT_OFF);
        sd_event_source_set_enabled(server->accept_timer, SD_EVENT_OFF);
        for (Connection *c = server->first; c; c = c->next)
                connection_arm(c);
}

void server_rights_changed(Server *server) {
        for (Connection *c = server->first; c; c = c->next) {
                Right before = c->right;

                c->right = server->handler.right(server->handler.userdata, &c->peer);
                if (c->right < before)
                        connection_kill(c);
        }
}

bool server_drained(const Server *server) {
        for (const Connection *c = server->first; c; c = c->next)
                if (!c->dead && !frame_writer_empty(&c->writer))
                        return false;
        return true;
}
