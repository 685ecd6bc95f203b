/* SPDX-License-Identifier: MIT */

/*
 * Paths are opened component by component, so that the kernel never walks a path through directories
 * that another user may replace meanwhile.
 *
 * A bind mount has the st_dev of its parent. openat2(2) refuses it; without openat2(2) the ids of the
 * mounts are compared. A user may mount a FUSE server that never answers, so a mount is recognised by
 * an O_PATH descriptor, which asks no server, before it is opened.
 */

#include "apps/dir.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/heartbeat.h"
#include "base/io.h"

#define BUFFER_BYTES (32U * 1024U)
#define ENTRY_BYTES_MIN 24U
#define ENTRY_BYTES_MAX sizeof(struct dirent64)

int mount_id(int fd, uint64_t *ret) {
        cleanup_free char *text = NULL;
        char path[64];
        const char *line;
        struct statx stx;
        int r;

        if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &stx) == 0 &&
            stx.stx_mask & STATX_MNT_ID) {
                *ret = stx.stx_mnt_id;
                return 0;
        }

        /* Linux before 5.8 */
        snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
        r = file_read(AT_FDCWD, path, 65536, &text, NULL);
        if (r < 0)
                return r;
        line = strstr(text, "mnt_id:");
        if (!line)
                return -EOPNOTSUPP;
        *ret = strtoull(line + strlen("mnt_id:"), NULL, 10);
        return 0;
}

static int open_without_openat2(int parent_fd, const char *name) {
        cleanup_close int path_fd = -EBADF;
        uint64_t parent_mount, mount;
        int fd, r;

        path_fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (path_fd < 0)
                return -errno;
        r = mount_id(parent_fd, &parent_mount);
        if (r == 0)
                r = mount_id(path_fd, &mount);
        if (r < 0)
                return r;
        if (mount != parent_mount)
                return -EXDEV;
        fd = openat(path_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int open_child(int parent_fd, const char *name) {
        struct open_how how = {
                .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
        };
        long fd;

        fd = syscall(SYS_openat2, parent_fd, name, &how, sizeof(how));
        if (fd >= 0)
                return (int)fd;
        /* Old seccomp filters of container engines deny a call that they do not know with EPERM. */
        if (errno == ENOSYS || errno == EPERM)
                return open_without_openat2(parent_fd, name);
        return -errno;
}

int dir_open(int parent_fd, const char *name, uint64_t dev, struct stat *ret_st) {
        cleanup_close int fd = open_child(parent_fd, name);

        if (fd < 0)
                return fd;
        if (fstat(fd, ret_st) < 0)
                return -errno;
        if (ret_st->st_dev != dev) /* a subvolume */
                return -EXDEV;
        return TAKE_FD(fd);
}

int dir_open_path(int parent_fd, const char *path, size_t n, uint64_t dev, struct stat *ret_st) {
        cleanup_close int fd = -EBADF;
        struct stat st;

        for (size_t at = 0, end; at < n || fd < 0; at = end + 1) {
                char name[NAME_MAX + 1] = ".";
                int child_fd;

                for (end = at; end < n && path[end] != '/';)
                        end++;
                if (end - at > NAME_MAX)
                        return -ENAMETOOLONG;
                if (n > 0) {
                        memcpy(name, path + at, end - at);
                        name[end - at] = '\0';
                }
                child_fd = dir_open(fd < 0 ? parent_fd : fd, name, dev, &st);
                if (child_fd < 0)
                        return child_fd;
                cleanup_closep(&fd);
                fd = child_fd;
        }
        if (ret_st)
                *ret_st = st;
        return TAKE_FD(fd);
}

int dir_permit(int parent_fd, const char *name) {
        cleanup_close int fd = -EBADF;
        char path[64];
        struct stat st;

        /* fchmod(2) refuses O_PATH, and fchmodat(2) would follow a link that was put there meanwhile. */
        fd = openat(parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_uid != geteuid() || (st.st_mode & 0700) == 0700)
                return -EACCES;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        return chmod(path, (st.st_mode & 07777) | 0700) < 0 ? -errno : 0;
}

int entry_stat(int dir_fd, const char *name, struct statx *ret) {
        int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;

        return statx(dir_fd, name, flags, STATX_TYPE | STATX_INO | STATX_NLINK | STATX_BLOCKS,
                     ret) < 0
                       ? -errno
                       : 0;
}

uint64_t entry_dev(const struct statx *stx) {
        return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

bool entry_is_directory(const struct statx *stx, uint64_t dev, uint64_t ino) {
        return S_ISDIR(stx->stx_mode) && entry_dev(stx) == dev && stx->stx_ino == ino;
}

struct DirBuffer {
        char bytes[BUFFER_BYTES]; /* aligned, as the entries in it */
        size_t n_bytes;
        uint16_t entries[BUFFER_BYTES / ENTRY_BYTES_MIN]; /* their offsets */
};

static const struct dirent64 *entry_at(const struct DirBuffer *buffer, uint16_t offset) {
        return (const struct dirent64 *)(const void *)(buffer->bytes + offset);
}

static int compare_inodes(const void *a, const void *b, void *userdata) {
        const struct DirBuffer *buffer = userdata;
        ino64_t x = entry_at(buffer, *(const uint16_t *)a)->d_ino;
        ino64_t y = entry_at(buffer, *(const uint16_t *)b)->d_ino;

        return x < y ? -1 : x > y;
}

static int fill_buffer(DirReader *reader) {
        struct DirBuffer *buffer = reader->buffer;
        ssize_t n;

        heartbeat();
        reader->at = reader->n = 0;
        n = getdents64(reader->fd, buffer->bytes, sizeof(buffer->bytes));
        if (n < 0)
                return errno == ENOENT ? 0 : -errno; /* the directory was removed meanwhile */

        buffer->n_bytes = (size_t)n;
        for (size_t at = 0; at < buffer->n_bytes;) {
                const struct dirent64 *entry = entry_at(buffer, (uint16_t)at);

                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        buffer->entries[reader->n++] = (uint16_t)at;
                at += entry->d_reclen;
        }
        if (reader->by_inode)
                qsort_r(buffer->entries, reader->n, sizeof(*buffer->entries), compare_inodes,
                        buffer);
        return n > 0;
}

int dir_next(DirReader *reader, const struct dirent64 **ret) {
        if (!reader->buffer) {
                reader->buffer = malloc(sizeof(*reader->buffer));
                if (!reader->buffer)
                        return -ENOMEM;
        }
        while (reader->at == reader->n) {
                int r = fill_buffer(reader);

                if (r <= 0)
                        return r;
        }
        *ret = entry_at(reader->buffer, reader->buffer->entries[reader->at++]);
        return 1;
}

bool dir_seems_read(const DirReader *reader) {
        return reader->n > 0 && reader->at == reader->n &&
               reader->buffer->n_bytes < BUFFER_BYTES - ENTRY_BYTES_MAX;
}

int dir_seek(DirReader *reader, int64_t offset) {
        reader->at = reader->n = 0;
        return lseek(reader->fd, offset, SEEK_SET) < 0 ? -errno : 0;
}

void dir_close(DirReader *reader) {
        cleanup_closep(&reader->fd);
        reader->fd = -EBADF;
        reader->at = reader->n = 0;
}

void dir_done(DirReader *reader) {
        dir_close(reader);
        free(reader->buffer);
        *reader = DIR_READER_NULL;
}

int dir_path(int fd, char **ret) {
        char link[64], path[PATH_MAX];
        ssize_t n;

        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path));
        if (n < 0)
                return -errno;
        if ((size_t)n == sizeof(path))
                return -ENAMETOOLONG;
        if (n == 0 || *path != '/') /* out of reach from our root directory */
                return -ENOENT;
        *ret = strndup(path, (size_t)n);
        return *ret ? 0 : -ENOMEM;
}
