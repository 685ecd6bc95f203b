/* SPDX-License-Identifier: MIT */

/*
 * Nothing here blocks and nothing a client does costs another one more than its turn on the loop.
 * The trap is freeing a connection while one of its own callbacks is on the stack: a connection is
 * only marked dead there, and buried by a deferred event of its own.
 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/io.h"
#include "base/span.h"
#include "daemon/server.h"
#include "wire/frame.h"

struct Connection {
        Server *server;
        Connection *next, *previous;
        int fd;
        Peer peer;
        FrameReader reader;
        FrameWriter writer;
        sd_event_source *io, *timer, *next_call, *bury;
        uint64_t since_usec; /* idle, or in the middle of a message, since */
        bool partial;        /* of the last look: a message is in progress */
        bool in_call, oneway, eof, dead;
};

struct Server {
        sd_event *event;
        ServerHandler handler;
        int listen_fd;
        char *path; /* if made here */
        sd_event_source *accept;
        Connection *first;
        size_t n_connections;
        uid_t own_uid;
        bool stopping;
};

static void connection_free(Connection *connection) {
        Server *server = connection->server;

        sd_event_source_disable_unref(connection->io);
        sd_event_source_disable_unref(connection->timer);
        sd_event_source_disable_unref(connection->next_call);
        sd_event_source_disable_unref(connection->bury);
        frame_reader_done(&connection->reader);
        frame_writer_done(&connection->writer);
        free(connection->peer.groups);
        close(connection->fd);
        if (connection->next)
                connection->next->previous = connection->previous;
        if (connection->previous)
                connection->previous->next = connection->next;
        else
                server->first = connection->next;
        server->n_connections--;
        free(connection);
}

static int on_bury(sd_event_source *source, void *userdata) {
        Connection *connection = userdata;

        (void)source;
        connection->server->handler.gone(connection->server->handler.userdata, connection);
        connection_free(connection);
        return 0;
}

static void connection_kill(Connection *connection) {
        if (connection->dead)
                return;
        connection->dead = true;
        sd_event_source_set_enabled(connection->io, SD_EVENT_OFF);
        sd_event_source_set_enabled(connection->timer, SD_EVENT_OFF);
        sd_event_source_set_enabled(connection->next_call, SD_EVENT_OFF);
        sd_event_source_set_enabled(connection->bury, SD_EVENT_ONESHOT);
}

/* What to wait for, and until when. */
static void connection_arm(Connection *connection) {
        bool partial = frame_reader_partial(&connection->reader);
        uint32_t events = 0;

        if (connection->dead)
                return;
        /* While a call is in progress only the peer's going away is of interest, which epoll tells
         * unasked. A peer that only shut down its own side still waits for the answer. */
        if (!connection->in_call && !connection->eof && !connection->server->stopping)
                events |= EPOLLIN;
        if (!frame_writer_empty(&connection->writer))
                events |= EPOLLOUT;
        sd_event_source_set_io_events(connection->io, events);

        if (connection->in_call) {
                sd_event_source_set_enabled(connection->timer, SD_EVENT_OFF);
                return;
        }
        if (partial != connection->partial || connection->since_usec == 0)
                connection->since_usec = now_boottime_usec();
        connection->partial = partial;
        sd_event_source_set_time(connection->timer,
                                 connection->since_usec + (partial ? MESSAGE_USEC : IDLE_USEC));
        sd_event_source_set_enabled(connection->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        (void)source;
        (void)usec;
        connection_kill(userdata);
        return 0;
}

static void connection_flush(Connection *connection) {
        if (!connection->dead && frame_flush(&connection->writer, connection->fd) < 0)
                connection_kill(connection);
}

/* Queues a message, or for lack of memory (`r` < 0) gives the connection up. */
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
}

/* The call is over: the next one may already be here. It is taken from the loop, not from here,
 * since the handler may be on the stack. */
static void connection_end_call(Connection *connection) {
        connection->in_call = connection->oneway = false;
        connection->since_usec = 0;
        if (!connection->dead)
                sd_event_source_set_enabled(connection->next_call, SD_EVENT_ONESHOT);
}

void connection_reply(Connection *connection, const Json *parameters, bool continues) {
        cleanup_free char *text = NULL;
        int r;

        if (!connection->in_call)
                return;
        if (!connection->oneway) {
                r = varlink_reply_text(parameters, continues, &text);
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

static void handle_messages(Connection *connection) {
        Server *server = connection->server;

        while (!connection->dead && !connection->in_call && !server->stopping) {
                cleanup(varlink_call_done) VarlinkCall call = { 0 };
                cleanup_free char *message = NULL;
                size_t n;
                int r;

                r = frame_next(&connection->reader, &message, &n);
                if (r == 0)
                        break;
                if (r < 0 || varlink_call_parse(message, n, &call, NULL) < 0) {
                        /* Not a Varlink peer: there is no telling where the next message starts. */
                        connection_kill(connection);
                        break;
                }
                connection->in_call = true;
                connection->oneway = call.oneway;
                server->handler.call(server->handler.userdata, connection, &call);
        }
        if (!connection->dead && connection->eof && !connection->in_call &&
            frame_writer_empty(&connection->writer))
                connection_kill(connection);
        connection_arm(connection);
}

static int on_next_call(sd_event_source *source, void *userdata) {
        (void)source;
        handle_messages(userdata);
        return 0;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Connection *connection = userdata;
        int r;

        (void)source;
        if (revents & EPOLLOUT)
                connection_flush(connection);
        if (connection->dead)
                return 0;
        if (revents & (EPOLLHUP | EPOLLERR) && !(revents & EPOLLIN)) {
                connection_kill(connection);
                return 0;
        }
        if (revents & EPOLLIN && !connection->in_call) {
                r = frame_read(&connection->reader, fd);
                if (r == 0)
                        connection->eof = true;
                else if (r < 0 && r != -EAGAIN)
                        connection_kill(connection);
        }
        if (!connection->dead)
                handle_messages(connection);
        return 0;
}

static int peer_read(int fd, Peer *ret) {
        struct ucred ucred;
        socklen_t n = sizeof(ucred);
        cleanup_free gid_t *groups = NULL;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &n) < 0)
                return -errno;
        n = 64 * sizeof(gid_t);
        for (;;) {
                gid_t *larger = realloc(groups, n);

                if (!larger)
                        return -ENOMEM;
                groups = larger;
                if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) >= 0)
                        break;
                if (errno != ERANGE) /* the kernel says what it needs in n */
                        return -errno;
        }
        *ret = (Peer){
                .uid = ucred.uid,
                .pid = ucred.pid,
                .gid = ucred.gid,
                .groups = TAKE_PTR(groups),
                .n_groups = n / sizeof(gid_t),
        };
        return 0;
}

/* The connection that has been idle longest, of one user or (uid -1) of any but the privileged. */
static Connection *idlest(Server *server, uid_t uid) {
        Connection *found = NULL;

        for (Connection *c = server->first; c; c = c->next) {
                bool privileged = c->peer.uid == 0 || c->peer.uid == server->own_uid;

                if (c->dead || c->in_call || !frame_writer_empty(&c->writer) ||
                    (uid == (uid_t)-1 ? privileged : c->peer.uid != uid))
                        continue;
                if (!found || c->since_usec < found->since_usec)
                        found = c;
        }
        return found;
}

/* Makes room for one more of this user: -EUSERS if there is none. */
static int make_room(Server *server, uid_t uid) {
        bool privileged = uid == 0 || uid == server->own_uid;
        size_t max = privileged ? CONNECTIONS_MAX : CONNECTIONS_MAX - CONNECTIONS_RESERVED;
        size_t n_user = 0, n_all = 0;
        Connection *victim = NULL;

        for (Connection *c = server->first; c; c = c->next) {
                n_all += !c->dead;
                n_user += !c->dead && c->peer.uid == uid;
        }
        if (n_user >= CONNECTIONS_PER_USER_MAX)
                victim = idlest(server, uid);
        else if (n_all >= max)
                victim = idlest(server, (uid_t)-1);
        else
                return 0;
        if (!victim)
                return -EUSERS;
        connection_kill(victim);
        return 0;
}

static int connection_new(Server *server, int fd) {
        Connection *connection;
        Peer peer = { 0 };
        int r;

        r = peer_read(fd, &peer);
        if (r < 0)
                return r;
        r = make_room(server, peer.uid);
        connection = r < 0 ? NULL : calloc(1, sizeof(*connection));
        if (!connection) {
                free(peer.groups);
                return r < 0 ? r : -ENOMEM;
        }
        connection->server = server;
        connection->fd = fd;
        connection->peer = peer;
        frame_reader_init(&connection->reader, FRAME_MESSAGE_MAX);
        frame_writer_init(&connection->writer, CONNECTION_OUTPUT_BYTES_MAX);
        connection->next = server->first;
        if (server->first)
                server->first->previous = connection;
        server->first = connection;
        server->n_connections++;

        r = sd_event_add_io(server->event, &connection->io, fd, EPOLLIN, on_io, connection);
        if (r >= 0)
                r = sd_event_add_time(server->event, &connection->timer, CLOCK_BOOTTIME, 0,
                                      100 * USEC_PER_MSEC, on_timer, connection);
        if (r >= 0)
                r = sd_event_add_defer(server->event, &connection->next_call, on_next_call,
                                       connection);
        if (r >= 0)
                r = sd_event_source_set_enabled(connection->next_call, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_defer(server->event, &connection->bury, on_bury, connection);
        if (r >= 0)
                r = sd_event_source_set_enabled(connection->bury, SD_EVENT_OFF);
        if (r < 0) {
                connection->fd = -EBADF; /* still the caller's */
                connection_free(connection);
                return r;
        }
        connection_arm(connection);
        return 0;
}

static int on_accept(sd_event_source *source, int listen_fd, uint32_t revents, void *userdata) {
        Server *server = userdata;
        int fd;

        (void)source;
        (void)revents;
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return 0; /* gone again, or out of descriptors for the moment */
        if (connection_new(server, fd) < 0)
                close(fd);
        return 0;
}

/* Clears the way for the socket: of what is there, only a socket is taken for stale. */
static int remove_stale(const char *path) {
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return -EEXIST;
        return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Whether a daemon answers at this address. */
static bool socket_alive(const struct sockaddr_un *address) {
        cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) >= 0 ||
                           errno == EAGAIN);
}

static int make_socket(const char *path, int *ret_fd, Diag *reterr_diag) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup_close int fd = -EBADF;
        cleanup_free char *directory = strdup(path);
        char *slash;
        int r;

        if (!directory)
                return -ENOMEM;
        if (strlen(path) >= sizeof(address.sun_path))
                return diag_set(reterr_diag, -ENAMETOOLONG, "the socket's path %s is too long",
                                path);
        strcpy(address.sun_path, path);
        slash = strrchr(directory, '/');
        if (slash && slash != directory) {
                *slash = '\0';
                r = mkdir_parents(directory, 0755);
                if (r < 0)
                        return diag_set(reterr_diag, r, "cannot make the directory %s: %s",
                                        directory, strerror(-r));
        }
        if (socket_alive(&address))
                return diag_set(reterr_diag, -EADDRINUSE, "another daemon answers at %s", path);
        r = remove_stale(path);
        if (r < 0)
                return diag_set(reterr_diag, r, "cannot replace %s by a socket: %s", path,
                                strerror(-r));
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        /* Everybody may connect; the credentials decide. */
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
            listen(fd, SOMAXCONN) < 0)
                return diag_set(reterr_diag, -errno, "cannot make the socket %s: %s", path,
                                strerror(errno));
        *ret_fd = TAKE_FD(fd);
        return 0;
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
        server->own_uid = geteuid();
        server->listen_fd = listen_fd;
        if (listen_fd < 0) {
                r = make_socket(path, &server->listen_fd, reterr_diag);
                if (r < 0)
                        return r;
                server->path = strdup(path);
                if (!server->path)
                        return -ENOMEM;
        }
        if (fcntl(server->listen_fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        r = sd_event_add_io(event, &server->accept, server->listen_fd, EPOLLIN, on_accept, server);
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
        cleanup_closep(&server->listen_fd);
        if (server->path)
                unlink(server->path);
        free(server->path);
        sd_event_unref(server->event);
        free(server);
        return NULL;
}

void server_stop(Server *server) {
        server->stopping = true;
        sd_event_source_set_enabled(server->accept, SD_EVENT_OFF);
        for (Connection *c = server->first; c; c = c->next)
                connection_arm(c);
}

bool server_drained(const Server *server) {
        for (const Connection *c = server->first; c; c = c->next)
                if (!c->dead && !frame_writer_empty(&c->writer))
                        return false;
        return true;
}
