/* SPDX-License-Identifier: MIT */

/*
 * Disk space that is kept for the store, so that it can be opened and written while the disk is full.
 *
 * A write goes to the write-ahead log, a checkpoint moves the log into the database, and both need the
 * index of the log, the file -shm. All three files keep their blocks: the log is allocated in advance
 * and stays when the database is closed, the database grows in large steps (sql.c), and the index is
 * kept here. A file of spare blocks that is deleted when needed would not do: where root filled the
 * disk, blocks that become free belong to root's reserve.
 *
 * The trap is that the first connection to a database cuts the index to 3 bytes and allocates it anew
 * (unixLockSharedMemory() in SQLite's os_unix.c). It does not where somebody else is connected, which
 * it tells by a lock on byte 128 of the index. So a lock is held here that SQLite takes for another
 * connection's, an open-file-description lock, and the content of an index that nobody uses is
 * zeroed in its place, which has SQLite read the log anew.
 *
 * Another trap is a log that stays beside a database that an operator replaces: SQLite would move it
 * into the new one. So the header of a log whose whole content is in the database is zeroed.
 *
 * All of this is an attempt. Where the index can't have its blocks, the database is opened for this
 * connection alone, which needs none; what else fails SQLite finds out for itself.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "store/sql.h"

#define LOG_FILE STORE_FILE "-wal"
#define LOG_HEADER_BYTES 32
#define INDEX_FILE STORE_FILE "-shm"
/* Of 4062 frames of the log, more than it ever has without being moved into the database. */
#define INDEX_BYTES (32 * 1024)
/* Held shared by each connection (UNIX_SHM_DMS). */
#define INDEX_LOCK_BYTE 128

static bool lock_index(const Store *store, short type) {
        struct flock lock = {
                .l_type = type,
                .l_whence = SEEK_SET,
                .l_start = INDEX_LOCK_BYTE,
                .l_len = 1,
        };

        return fcntl(store->index_fd, F_OFD_SETLK, &lock) == 0;
}

static int write_zeroes(int fd, size_t n) {
        static const char zeroes[4096];

        for (size_t at = 0; at < n; at += sizeof(zeroes)) {
                size_t part = MIN(n - at, sizeof(zeroes));

                ssize_t n_written = pwrite(fd, zeroes, part, (off_t)at);

                if (n_written < 0)
                        return -errno;
                if ((size_t)n_written < part)
                        return -ENOSPC;
        }
        return 0;
}

static bool is_full(int error) {
        return error == -ENOSPC || error == -EDQUOT;
}

/* Closing a descriptor of the index drops the locks that SQLite holds on it: the descriptor is kept,
 * unless it is of another file by now. */
static bool open_index(Store *store) {
        struct stat here, ours;

        if (store->index_fd >= 0 &&
            fstatat(store->dir_fd, INDEX_FILE, &here, AT_SYMLINK_NOFOLLOW) == 0 &&
            fstat(store->index_fd, &ours) == 0 && here.st_dev == ours.st_dev &&
            here.st_ino == ours.st_ino)
                return true;
        cleanup_closep(&store->index_fd);
        store->index_fd =
                openat(store->dir_fd, INDEX_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        return store->index_fd >= 0;
}

bool reserve_index(Store *store) {
        bool complete = true;

        if (!open_index(store))
                return !is_full(-errno);
        if (lock_index(store, F_WRLCK))
                complete = !is_full(write_zeroes(store->index_fd, INDEX_BYTES));
        lock_index(store, F_RDLCK);
        return complete;
}

void reserve_log(const Store *store) {
        cleanup_close int fd = openat(store->dir_fd, LOG_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd >= 0 && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, RESERVE_LOG_BYTES) < 0)
                return; /* a disk that is full, or a file system that can't */
}

void reserve_empty_log(const Store *store) {
        cleanup_close int fd = -EBADF;
        struct stat st;

        if (store->index_fd < 0 || !lock_index(store, F_WRLCK))
                return;
        fd = openat(store->dir_fd, LOG_FILE, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= LOG_HEADER_BYTES &&
            write_zeroes(fd, LOG_HEADER_BYTES) >= 0)
                fsync(fd);
        lock_index(store, F_RDLCK);
}
