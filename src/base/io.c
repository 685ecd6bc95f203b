/* SPDX-License-Identifier: MIT */

#include "base/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/random.h"
#include "base/text.h"

int file_read(int dir_fd, const char *path, size_t max_bytes, char **ret_text, size_t *ret_n) {
        cleanup_close int fd = -EBADF;
        cleanup_free char *text = NULL;
        size_t size, n = 0;
        struct stat st;

        /* O_NONBLOCK: to open a FIFO must not wait for its other end */
        fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        if (!S_ISREG(st.st_mode))
                return -EINVAL;
        if (st.st_size > 0 && (uint64_t)st.st_size > max_bytes)
                return -EFBIG;

        /* The size is a hint: files of /proc say 0, and any file may grow under us. One byte more
         * than that shows the end without another allocation. */
        size = (size_t)st.st_size + 2;
        for (;;) {
                ssize_t k;

                if (!text || n + 1 == size) {
                        char *grown;

                        if (text)
                                size *= 2;
                        grown = realloc(text, size);
                        if (!grown)
                                return -ENOMEM;
                        text = grown;
                }
                k = read(fd, text + n, size - n - 1);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t)k;
                if (n > max_bytes)
                        return -EFBIG;
        }

        text[n] = '\0';
        *ret_text = TAKE_PTR(text);
        if (ret_n)
                *ret_n = n;
        return 0;
}

int write_full(int fd, const char *data, size_t n) {
        while (n > 0) {
                ssize_t k = write(fd, data, n);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                data += k;
                n -= (size_t)k;
        }
        return 0;
}

/* Opens the directory that holds `path`. */
static int open_parent(int dir_fd, const char *path) {
        cleanup_free char *parent = NULL;
        const char *slash = strrchr(path, '/');
        int fd;

        if (slash) {
                parent = strndup(path, slash == path ? 1 : (size_t)(slash - path));
                if (!parent)
                        return -ENOMEM;
        }
        fd = openat(dir_fd, parent ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int write_durable(int fd, const char *text, size_t n, mode_t mode) {
        int r;

        if (fchmod(fd, mode) < 0) /* whatever the umask took away */
                return -errno;
        r = write_full(fd, text, n);
        if (r < 0)
                return r;
        return fsync(fd) < 0 ? -errno : 0;
}

int file_write_atomic(int dir_fd, const char *path, const char *text, size_t n, mode_t mode) {
        cleanup_close int parent_fd = -EBADF, fd = -EBADF;
        cleanup_free char *temporary = NULL;
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        char random[2 * 8 + 1];
        int r;

        if (*name == '\0')
                return -EISDIR;
        parent_fd = open_parent(dir_fd, path);
        if (parent_fd < 0)
                return parent_fd;
        r = random_hex(8, random);
        if (r < 0)
                return r;
        temporary = text_format(".#%s.%s", name, random);
        if (!temporary)
                return -ENOMEM;
        fd = openat(parent_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd < 0)
                return -errno;

        r = write_durable(fd, text, n, mode);
        if (r == 0 && renameat(parent_fd, temporary, parent_fd, name) < 0)
                r = -errno;
        if (r < 0) {
                (void)unlinkat(parent_fd, temporary, 0);
                return r;
        }
        return fsync(parent_fd) < 0 ? -errno : 0;
}

int mkdir_parents(const char *path, mode_t mode) {
        cleanup_free char *copy = strdup(path);
        struct stat st;

        if (!copy)
                return -ENOMEM;
        for (char *p = copy; *p;) {
                char *slash = strchr(p + 1, '/');

                if (slash)
                        *slash = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return -errno;
                if (!slash)
                        break;
                *slash = '/';
                p = slash;
        }
        if (stat(path, &st) < 0)
                return -errno;
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}
