/* SPDX-License-Identifier: MIT */

/*
 * The socket is non-blocking, and every wait is a poll(2) with a deadline. Connecting is retried
 * instead: with a full backlog connect(2) on a unix socket returns EAGAIN, for which poll(2)
 * cannot wait.
 */

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/span.h"
#include "base/strv.h"
#include "base/text.h"
#include "ctl/client.h"
#include "ctl/fail.h"
#include "ctl/output.h"
#include "model/target.h"
#include "wire/frame.h"
#include "wire/interface.h"

/* A receipt may name some thousand images. */
#define REPLY_MAX (16U * 1024U * 1024U)

#define CONNECT_RETRY_USEC (50 * USEC_PER_MSEC)

struct Client {
        const Ctl *ctl;
        int fd, signal_fd, signal;
        FrameReader reader;
};

/* Returns the connected socket. */
static int connect_to(const char *path, uint64_t timeout_usec) {
        cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        uint64_t deadline = now_boottime_usec() + timeout_usec;

        if (fd < 0)
                return -errno;
        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (now_boottime_usec() >= deadline)
                        return -ETIMEDOUT;
                usleep(CONNECT_RETRY_USEC);
        }
        return TAKE_FD(fd);
}

int client_open(const Ctl *ctl, uint64_t timeout_usec, Client **ret) {
        cleanup(client_free) Client *client = malloc(sizeof(*client));

        if (!client)
                return -ENOMEM;
        *client = (Client){ .ctl = ctl, .signal_fd = -EBADF };
        frame_reader_init(&client->reader, REPLY_MAX);
        client->fd = connect_to(ctl->socket_path, timeout_usec);
        if (client->fd < 0)
                return client->fd;
        *ret = TAKE_PTR(client);
        return 0;
}

Client *client_free(Client *client) {
        if (!client)
                return NULL;
        if (client->fd >= 0)
                close(client->fd);
        if (client->signal_fd >= 0)
                close(client->signal_fd);
        frame_reader_done(&client->reader);
        free(client);
        return NULL;
}

int client_catch_signals(Client *client) {
        sigset_t mask;

        sigemptyset(&mask);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return -errno;
        client->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        return client->signal_fd < 0 ? -errno : 0;
}

int client_signal(const Client *client) {
        return client->signal;
}

int client_fd(const Client *client) {
        return client->fd;
}

/* Waits for `events` on the socket. */
static int client_wait(Client *client, short events, uint64_t deadline) {
        struct pollfd fds[] = {
                { .fd = client->fd, .events = events },
                { .fd = client->signal_fd, .events = POLLIN },
        };

        for (;;) {
                struct signalfd_siginfo info;
                int r;

                r = poll(fds, ELEMENTSOF(fds), deadline_msec(deadline));
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (r > 0 && fds[1].revents &&
                    read(client->signal_fd, &info, sizeof(info)) == sizeof(info)) {
                        client->signal = (int)info.ssi_signo;
                        return -EINTR;
                }
                if (r > 0 && fds[0].revents)
                        return 0;
                if (deadline != USEC_INFINITY && now_boottime_usec() >= deadline)
                        return -ETIMEDOUT;
        }
}

int client_send(Client *client, const char *method, const Json *parameters, bool more,
                Diag *reterr_diag) {
        uint64_t deadline = now_boottime_usec() + CLIENT_TIMEOUT_USEC;
        cleanup_free char *text = NULL;
        FrameWriter writer;
        int r;

        r = varlink_call_text(method, parameters, more, false, &text);
        if (r < 0)
                return r;
        frame_writer_init(&writer, FRAME_MESSAGE_MAX);
        r = frame_queue(&writer, text, strlen(text));
        while (r >= 0) {
                r = frame_flush(&writer, client->fd);
                if (r != 0)
                        break;
                r = client_wait(client, POLLOUT, deadline);
        }
        frame_writer_done(&writer);
        /* The daemon closed the connection at once, over a quota for example. A reply that it
         * sent before can still be read. */
        if (r == -EPIPE || r == -ECONNRESET)
                return diag_set(reterr_diag, -ECONNRESET, "it closed the connection");
        return r < 0 ? r : 0;
}

int client_reply(Client *client, uint64_t timeout_usec, VarlinkReply *ret, Diag *reterr_diag) {
        uint64_t now = now_boottime_usec(), deadline = USEC_INFINITY;
        cleanup_free char *message = NULL;
        size_t n;
        int r;

        if (timeout_usec < USEC_INFINITY - now)
                deadline = now + timeout_usec;
        for (;;) {
                r = frame_next(&client->reader, &message, &n);
                if (r < 0)
                        return diag_set(reterr_diag, r, "its reply is too long");
                if (r > 0)
                        break;
                r = frame_read(&client->reader, client->fd);
                if (r == -EAGAIN) {
                        r = client_wait(client, POLLIN, deadline);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (r == 0 || r == -ECONNRESET)
                        return diag_set(reterr_diag, -ECONNRESET,
                                        frame_reader_partial(&client->reader)
                                                ? "the connection ended inside a reply"
                                                : "it closed the connection");
                if (r < 0 && r != -EMSGSIZE)
                        return r;
        }
        r = varlink_reply_parse(message, n, ret, reterr_diag);
        if (r < 0)
                return r;
        if (client->ctl->terminal.json == JSON_FORMAT_OFF)
                json_make_printable(ret->root);
        return 0;
}

Json *client_target_parameters(const Ctl *ctl) {
        cleanup(json_free) Json *parameters = json_new_object();
        int r;

        r = json_add_string(parameters, "target", ctl->target);
        if (ctl->keep_mounts)
                r |= json_add_bool(parameters, "keepMounts", true);
        if (ctl->include_mounted)
                r |= json_add_bool(parameters, "includeMounted", true);
        return r < 0 ? NULL : TAKE_PTR(parameters);
}

int client_call(const Ctl *ctl, const char *method, const Json *parameters, uint64_t timeout_usec,
                VarlinkReply *ret) {
        cleanup(client_free) Client *client = NULL;
        Diag diag = DIAG_NULL;
        int r;

        r = client_open(ctl, CLIENT_TIMEOUT_USEC, &client);
        if (r >= 0)
                r = client_send(client, method, parameters, false, &diag);
        if (r >= 0)
                r = client_reply(client, timeout_usec, ret, &diag);
        if (r < 0)
                return client_fail_connection(ctl, r, &diag);
        if (ret->error)
                return client_fail_reply(ctl, ret);
        return CTL_DONE;
}

int client_fail_connection(const Ctl *ctl, int error, const Diag *diag) {
        const char *path = ctl->socket_path;

        switch (error) {
        case -ENOMEM:
                return ctl_fail(CTL_FAILED, "out of memory");
        case -EBADMSG:
        case -EMSGSIZE:
                return ctl_fail(CTL_FAILED, "what answers at %s is not wpcached: %s", path,
                                diag_text(diag, error));
        case -EACCES:
        case -EPERM:
                return ctl_fail(CTL_NOT_PERMITTED,
                                "may not open %s: %s; run as root, or fix the modes on the way",
                                path, diag_text(diag, error));
        case -ETIMEDOUT:
                return ctl_fail(CTL_UNREACHABLE,
                                "wpcached at %s does not answer; see journalctl -u wpcached", path);
        case -ECONNRESET:
                return ctl_fail(CTL_UNREACHABLE,
                                "no answer from wpcached at %s: %s; see journalctl -u wpcached",
                                path, diag_text(diag, error));
        default:
                return ctl_fail(CTL_UNREACHABLE,
                                "cannot reach wpcached at %s: %s; is the service running? "
                                "systemctl status wpcached",
                                path, diag_text(diag, error));
        }
}

/* Joins the strings of an array, as many as fit. */
static const char *join(const Json *array, char *buffer, size_t size) {
        size_t n = 0;

        buffer[0] = '\0';
        json_foreach (member, array) {
                int added = snprintf(buffer + n, size - n, "%s%s", n > 0 ? ", " : "",
                                     json_string(member) ? json_string(member) : "?");

                if (added < 0 || (size_t)added >= size - n) {
                        buffer[n] = '\0';
                        break;
                }
                n += (size_t)added;
        }
        return buffer;
}

static int fail_target(const Json *parameters) {
        const char *target = output_text(parameters, "target"), *nearest;
        const Json *known = json_get(parameters, "known");
        cleanup_free const char **names = calloc(json_size(known) + 1, sizeof(*names));
        char list[512];
        size_t n = 0;

        if (!names)
                return ctl_fail(CTL_FAILED, "out of memory");
        json_foreach (name, known)
                if (json_string(name))
                        names[n++] = json_string(name);
        nearest = strv_nearest(target, names, n);
        join(known, list, sizeof(list));
        if (nearest)
                return ctl_fail(CTL_USAGE, "unknown target '%s'; did you mean '%s'? There are: %s",
                                target, nearest, list);
        /* the names of applications come last */
        if (n > 0 && strcmp(names[n - 1], "apps") == 0)
                return ctl_fail(CTL_USAGE,
                                "unknown target '%s'; there are: %s; no application is "
                                "configured, see [app NAME] in wpcached.conf(5)",
                                target, list);
        return ctl_fail(CTL_USAGE, "unknown target '%s'; there are: %s", target, list);
}

/* Whether the daemon asks the engine only for the mounts of containers. */
static bool asks_for_mounts_alone(const Ctl *ctl) {
        return ctl->target && !target_touches_docker(target_of(ctl->target)) &&
               !ctl->include_mounted;
}

static int fail_engine(const Ctl *ctl, const Json *parameters, const char *reason) {
        const char *remedy = json_get_string(parameters, "remedy", "systemctl status docker");

        return ctl_fail(CTL_NO_ENGINE, "Docker engine %s, nothing was touched: %s%s%s%s",
                        json_get_bool(parameters, "answered", false) ? "gives no usable answer"
                                                                     : "not available",
                        reason, *remedy ? "; see " : "", remedy,
                        asks_for_mounts_alone(ctl)
                                ? "; caches of applications can be cleared all the "
                                  "same with --include-mounted"
                                : "");
}

int client_fail_reply(const Ctl *ctl, const VarlinkReply *reply) {
        const Json *parameters = reply->parameters;
        const char *reason = json_get_string(parameters, "reason", "no reason given");
        const char *parameter = output_text(parameters, "parameter");
        const char *error = reply->error;

        if (strcmp(error, ERROR_ENGINE_UNAVAILABLE) == 0)
                return fail_engine(ctl, parameters, reason);
        if (strcmp(error, ERROR_PERMISSION_DENIED) == 0)
                return ctl_fail(CTL_NOT_PERMITTED,
                                "not permitted for uid %u; run as root, or see operators and "
                                "readers under [control] in wpcached.conf(5)",
                                (unsigned)geteuid());
        if (strcmp(error, ERROR_UNKNOWN_TARGET) == 0)
                return fail_target(parameters);
        if (strcmp(error, ERROR_UNKNOWN_RECEIPT) == 0)
                return ctl_fail(CTL_FAILED, "%s; see wpcachectl history", reason);
        if (strcmp(error, ERROR_UNKNOWN_OBJECT) == 0)
                return ctl_fail(CTL_FAILED, "'%s': %s", output_text(parameters, "object"), reason);
        if (strcmp(error, ERROR_BUSY) == 0)
                return ctl_fail(CTL_BUSY, "busy: %s; see wpcachectl status", reason);
        if (strcmp(error, ERROR_CONFIG_INVALID) == 0)
                return ctl_fail(CTL_FAILED,
                                "configuration not taken, the old one stays: %s; "
                                "wpcached --check-config tells all mistakes",
                                reason);
        if (strcmp(error, ERROR_JOB_FAILED) == 0)
                return ctl_fail(CTL_FAILED, "failed: %s", reason);
        if (strcmp(error, ERROR_SHUTTING_DOWN) == 0)
                return ctl_fail(CTL_UNREACHABLE, "wpcached is stopping; try again");
        if (strcmp(error, ERROR_INVALID_PARAMETER) == 0 && strcmp(parameter, "receipt") == 0)
                return ctl_fail(CTL_FAILED, "that is no id of a receipt; see wpcachectl history");
        if (strcmp(error, ERROR_INVALID_PARAMETER) == 0)
                return ctl_fail(CTL_FAILED,
                                "wpcached does not take this value of '%s'; if it should, see "
                                "wpcachectl version",
                                parameter);
        return ctl_fail(CTL_FAILED,
                        "wpcached answers %s; is it of another version? wpcachectl version", error);
}
