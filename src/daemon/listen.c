/* SPDX-License-Identifier: MIT */

/*
 * A path names whatever was bound there last: another daemon may have replaced a socket that somebody
 * removed. So the path is removed only while it leads to the inode that was made here. The number of
 * that inode is not given to another socket before the descriptor is closed, so it is compared first.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/io.h"
#include "daemon/listen.h"

int listener_passed(int *ret_fd, Diag *reterr_diag) {
        const char *text = getenv("LISTEN_FDS") ?: "", *pid = getenv("LISTEN_PID") ?: "";
        int n = sd_listen_fds(false);

        if (n == 0)
                return 0;
        if (n == -EBADF)
                return diag_set(reterr_diag, n,
                                "LISTEN_FDS=%s, but file descriptors from %i on are not open", text,
                                SD_LISTEN_FDS_START);
        if (n < 0)
                return diag_set(reterr_diag, n, "LISTEN_FDS=%s with LISTEN_PID=%s: %s", text, pid,
                                strerror(-n));
        if (n > 1)
                return diag_set(reterr_diag, -EINVAL,
                                "LISTEN_FDS=%s: one socket is expected, see wpcached.socket", text);
        if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0)
                return diag_set(reterr_diag, -EINVAL,
                                "LISTEN_FDS=1, but file descriptor %i is not a listening unix "
                                "stream socket",
                                SD_LISTEN_FDS_START);
        *ret_fd = SD_LISTEN_FDS_START;
        return 1;
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

static int make_directory(const char *path, Diag *reterr_diag) {
        cleanup_free char *directory = strdup(path);
        char *slash;
        int r;

        if (!directory)
                return -ENOMEM;
        slash = strrchr(directory, '/');
        if (!slash || slash == directory)
                return 0;
        *slash = '\0';
        r = mkdir_parents(directory, 0755);
        return r < 0 ? diag_set(reterr_diag, r, "cannot make the directory %s: %s", directory,
                                strerror(-r))
                     : 0;
}

int listener_make(const char *path, Listener *ret, Diag *reterr_diag) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup_free char *copy = strdup(path);
        cleanup_close int fd = -EBADF;
        struct stat st;
        int r;

        if (!copy)
                return -ENOMEM;
        if (strlen(path) >= sizeof(address.sun_path))
                return diag_set(reterr_diag, -ENAMETOOLONG, "the socket's path %s is too long",
                                path);
        strcpy(address.sun_path, path);
        r = make_directory(path, reterr_diag);
        if (r < 0)
                return r;
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
            lstat(path, &st) < 0 || listen(fd, SOMAXCONN) < 0)
                return diag_set(reterr_diag, -errno, "cannot make the socket %s: %s", path,
                                strerror(errno));
        *ret = (Listener){
                .fd = TAKE_FD(fd),
                .path = TAKE_PTR(copy),
                .dev = st.st_dev,
                .ino = st.st_ino,
        };
        return 0;
}

void listener_done(Listener *listener) {
        struct stat st;

        if (listener->path && lstat(listener->path, &st) >= 0 && st.st_dev == listener->dev &&
            st.st_ino == listener->ino)
                unlink(listener->path);
        cleanup_closep(&listener->fd);
        free(listener->path);
        *listener = LISTENER_NULL;
}
