/* SPDX-License-Identifier: MIT */

/* The store on a disk that is full, has no inodes left or is read-only, and once it is well again. */

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "store-scratch.h"

#include "base/io.h"
#include "store/sql.h"

static bool write_text(const char *path, const char *text) {
        cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write_full(fd, text, strlen(text)) == 0;
}

/* Mounts are this process's alone from here on. */
static int go_apart(void **state) {
        uid_t uid = geteuid();
        gid_t gid = getegid();
        char uids[32], gids[32];

        (void)state;
        if (unshare(uid == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) < 0)
                return 0;
        snprintf(uids, sizeof(uids), "0 %u 1", (unsigned)uid);
        snprintf(gids, sizeof(gids), "0 %u 1", (unsigned)gid);
        if (uid != 0 &&
            !(write_text("/proc/self/setgroups", "deny") &&
              write_text("/proc/self/uid_map", uids) && write_text("/proc/self/gid_map", gids)))
                return 0;
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        return 0;
}

/* A file system of the test's own at the scratch directory; skips the test where none can be had. */
static void mount_small(const Scratch *scratch, const char *options) {
        if (mount("none", scratch->path, "tmpfs", 0, options) < 0) {
                print_message("no file system to fill: %s\n", strerror(errno));
                skip();
        }
}

static void unmount(const Scratch *scratch) {
        assert_int_equal(umount(scratch->path), 0);
}

static void read_only(const Scratch *scratch, bool on) {
        assert_int_equal(mount(NULL, scratch->path, NULL, MS_REMOUNT | (on ? MS_RDONLY : 0), NULL),
                         0);
}

static void fill_path(const Scratch *scratch, char ret[static 128]) {
        snprintf(ret, 128, "%s/filler", scratch->path);
}

static void fill_blocks(const Scratch *scratch) {
        static char zeroes[64 * 1024];
        char path[128];
        int fd;

        fill_path(scratch, path);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        for (size_t size = sizeof(zeroes); size > 0; size /= 2)
                while (write(fd, zeroes, size) > 0)
                        ;
        close(fd);
}

static void free_blocks(const Scratch *scratch) {
        char path[128];

        fill_path(scratch, path);
        assert_int_equal(unlink(path), 0);
}

static StoreState state_of(const Store *store) {
        StoreState state;

        store_state(store, &state);
        return state;
}

/* The log has its blocks, and they are written again and again. */
static void test_small_writes_on_a_full_disk(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        Diag diag = DIAG_NULL;
        unsigned n = 0;

        (void)state;
        mount_small(&scratch, "size=2m,mode=0700");
        store = open_store(&scratch);
        write_number(store, n++, 2000);
        fill_blocks(&scratch);
        while (n < 20)
                write_number(store, n++, 2000);
        for (unsigned i = 0; i < 500; i++) {
                AgeClock clock = { .age_sec = i };

                assert_int_equal(store_write_clock(store, &clock, &diag), 0);
        }

        /* Opened and written on the full disk. */
        for (unsigned i = 0; i < 5; i++) {
                store = store_close(store);
                store = open_store(&scratch);
                assert_true(state_of(store).writable);
                assert_int_equal(count_runs(store), n);
                write_number(store, n++, 2000);
        }
        store = store_close(store);
        unmount(&scratch);
}

static void kill_writer(const Scratch *scratch) {
        Store *store = NULL;

        if (store_open(scratch->path, &store, NULL) < 0 || try_write(store, 1, 2000, NULL) < 0)
                _exit(1);
        /* ends without closing anything */
}

/* The index of the log that a daemon left which was killed is not trusted. */
static void test_killed_on_a_full_disk(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;

        (void)state;
        mount_small(&scratch, "size=2m,mode=0700");
        store = open_store(&scratch);
        store = store_close(store);
        fill_blocks(&scratch);
        run_child(kill_writer, &scratch);
        store = open_store(&scratch);
        assert_true(state_of(store).writable);
        assert_int_equal(try_read(store, 1, 2000), 0);
        write_number(store, 2, 2000);
        store = store_close(store);
        unmount(&scratch);
}

/* What can't be written is kept in memory, read from there, and written once there is room. */
static void test_kept_in_memory(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL, *reader = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 };
        cleanup(listed_done) Listed listed = { 0 };
        Diag diag = DIAG_NULL;
        unsigned n = 0;
        int r;

        (void)state;
        mount_small(&scratch, "size=2m,mode=0700");
        store = open_store(&scratch);
        assert_int_equal(store_open_reader(store, &reader), 0);
        write_number(store, n++, 20000);
        fill_blocks(&scratch);
        while ((r = try_write(store, n++, 20000, &diag)) == 0 && n < 1000)
                ;
        assert_int_equal(r, -ENOSPC);
        assert_non_null(strstr(diag.text, scratch.file));
        assert_true(state_of(store).readable && !state_of(store).writable);
        assert_non_null(strstr(state_of(store).reason.text, scratch.file));
        assert_int_equal(state_of(store).n_unwritten, 1);
        assert_int_equal(try_write(store, n++, 20000, &diag), -ENOSPC);
        assert_int_equal(try_write(store, n - 2, 20000, &diag),
                         -ENOSPC); /* again: the newest now */
        assert_int_equal(store_write_kept(store, &diag), -ENOSPC);
        assert_int_equal(count_runs(store), n);
        for (unsigned i = 0; i < n; i++) {
                assert_int_equal(try_read(store, i, 20000), 0);
                assert_int_equal(try_read(reader, i, 20000), 0);
        }
        assert_int_equal(store_list_runs(reader, NULL, 0, 3, list_one, &listed, &diag), 0);
        assert_int_equal(listed.n, 3);
        assert_int_equal(listed.v[0].started_sec, n - 2);
        assert_int_equal(listed.v[1].started_sec, n - 1);
        assert_int_equal(listed.v[2].started_sec, n - 3);

        for (unsigned i = 0; i < 2000; i++)
                make_trash(&items, i);
        assert_int_equal(store_add_trash(store, items.v, items.n, &diag), -ENOSPC);
        assert_trash(store, &(TrashItems){ 0 });

        free_blocks(&scratch);
        assert_int_equal(store_write_kept(store, &diag), 0);
        assert_true(state_of(store).writable);
        assert_int_equal(state_of(store).n_unwritten, 0);
        write_number(store, n++, 20000);
        reader = store_close(reader);
        store = store_close(store);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        assert_int_equal(count_runs(store), n);
        for (unsigned i = 0; i < n; i++)
                assert_int_equal(try_read(store, i, 20000), 0);
        listed.n = 0;
        assert_int_equal(store_list_runs(store, NULL, 0, 3, list_one, &listed, &diag), 0);
        assert_int_equal(listed.v[1].started_sec, n - 3);
        assert_int_equal(listed.v[2].started_sec, n - 2);
        store = store_close(store);
        unmount(&scratch);
}

/* There was never any room: nothing but memory, and the newest of what is kept there. */
static void test_begun_without_room(const char *options) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL, *reader = NULL;
        cleanup(listed_done) Listed listed = { 0 };
        Diag diag = DIAG_NULL;
        AgeClock clock;
        char path[128];
        int r;

        mount_small(&scratch, options);
        fill_blocks(&scratch);
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(path, sizeof(path), "%s/%u", scratch.path, i);
                if (mknod(path, S_IFREG | 0600, 0) < 0)
                        break;
        }
        store = open_store(&scratch);
        assert_false(state_of(store).readable || state_of(store).writable);
        assert_non_null(strstr(state_of(store).reason.text, scratch.file));
        assert_true(store_read_clock(store, &clock, &diag) < 0);
        assert_int_equal(store_open_reader(store, &reader), 0);
        for (unsigned i = 0; i < 100; i++)
                assert_true(try_write(store, i, 200, &diag) < 0);
        assert_int_equal(try_read(reader, 99, 200), 0);
        assert_true(try_read(reader, 0, 200) < 0);
        r = store_list_runs(reader, NULL, 0, 1000, list_one, &listed, &diag);
        assert_true(r < 0);
        assert_int_equal(listed.n, state_of(store).n_unwritten);
        assert_int_equal(listed.v[0].started_sec, 99);

        free_blocks(&scratch);
        for (unsigned i = 0; i < 3; i++) {
                snprintf(path, sizeof(path), "%s/%u", scratch.path, i);
                unlink(path);
        }
        assert_int_equal(store_write_kept(store, &diag), 0);
        assert_true(state_of(store).readable && state_of(store).writable);
        assert_int_equal(store_read_clock(store, &clock, &diag), 0);
        assert_int_equal(count_runs(reader), listed.n);
        assert_int_equal(count_runs(store), listed.n);
        reader = store_close(reader);
        store = store_close(store);
        unmount(&scratch);
}

static void test_begun_without_blocks(void **state) {
        (void)state;
        test_begun_without_room("size=1m,mode=0700");
}

static void test_begun_without_inodes(void **state) {
        (void)state;
        test_begun_without_room("size=4m,nr_inodes=12,mode=0700");
}

/* What is in the file can be read, before and after a start; and it is written once it may be. */
static void test_read_only_disk(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        Diag diag = DIAG_NULL;
        AgeClock clock;

        (void)state;
        mount_small(&scratch, "size=4m,mode=0700");
        store = open_store(&scratch);
        write_number(store, 1, 200);
        assert_int_equal(store_write_clock(store, &(AgeClock){ .age_sec = 7 }, &diag), 0);
        store = store_close(store);
        read_only(&scratch, true);

        store = open_store(&scratch);
        assert_int_equal(store_read_clock(store, &clock, &diag), 0);
        assert_int_equal(clock.age_sec, 7);
        assert_int_equal(try_write(store, 2, 200, &diag), -EROFS);
        assert_int_equal(state_of(store).n_unwritten, 1);
        assert_false(state_of(store).writable);
        assert_int_equal(try_read(store, 1, 200), 0);
        assert_int_equal(count_runs(store), 2);

        read_only(&scratch, false);
        assert_int_equal(store_write_kept(store, &diag), 0);
        assert_true(state_of(store).readable && state_of(store).writable);
        store = store_close(store);
        store = open_store(&scratch);
        assert_int_equal(count_runs(store), 2);
        store = store_close(store);
        unmount(&scratch);
}

/* Somebody looked into the file meanwhile, as the first who had it open: SQLite cut the index then. */
static void test_index_lost_on_a_full_disk(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL, *reader = NULL;
        Diag diag = DIAG_NULL;
        char path[160];

        (void)state;
        mount_small(&scratch, "size=2m,mode=0700");
        store = open_store(&scratch);
        write_number(store, 1, 200);
        store = store_close(store);
        snprintf(path, sizeof(path), "%s-shm", scratch.file);
        assert_int_equal(truncate(path, 3), 0);
        fill_blocks(&scratch);
        store = open_store(&scratch);
        assert_true(state_of(store).writable);
        write_number(store, 2, 200);
        assert_int_equal(count_runs(store), 2);

        /* It is open for readers again as soon as there is room. */
        free_blocks(&scratch);
        write_number(store, 3, 200);
        assert_int_equal(store_open_reader(store, &reader), 0);
        assert_int_equal(count_runs(reader), 3);
        assert_int_equal(store_write_clock(store, &(AgeClock){ .age_sec = 1 }, &diag), 0);
        reader = store_close(reader);
        store = store_close(store);
        unmount(&scratch);
}

/* An older version kept nothing for itself: what it remembered can be read. */
static void test_left_by_an_older_version(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        Diag diag = DIAG_NULL;
        AgeClock clock;

        (void)state;
        mount_small(&scratch, "size=2m,mode=0700");
        store = open_store(&scratch);
        write_number(store, 1, 200);
        assert_int_equal(store_write_clock(store, &(AgeClock){ .age_sec = 7 }, &diag), 0);
        store = store_close(store);
        raw(&scratch, "SELECT n FROM runs"); /* SQLite removes log and index when it ends */
        fill_blocks(&scratch);
        store = open_store(&scratch);
        assert_int_equal(store_read_clock(store, &clock, &diag), 0);
        assert_int_equal(clock.age_sec, 7);
        assert_int_equal(try_write(store, 2, 200, &diag), -ENOSPC);
        assert_true(state_of(store).readable && !state_of(store).writable);
        assert_int_equal(count_runs(store), 2);
        free_blocks(&scratch);
        assert_int_equal(store_write_kept(store, &diag), 0);
        assert_true(state_of(store).writable);
        fill_blocks(&scratch);
        write_number(store, 3, 200);
        store = store_close(store);
        store = open_store(&scratch);
        assert_int_equal(count_runs(store), 3);
        store = store_close(store);
        unmount(&scratch);
}

static bool disk_fails;

static ssize_t failing_pwrite(int fd, const void *data, size_t n, off_t at) {
        if (disk_fails) {
                errno = EIO;
                return -1;
        }
        return pwrite(fd, data, n, at);
}

static int failing_open(const char *path, int flags, int mode) {
        if (disk_fails) {
                errno = EIO;
                return -1;
        }
        return open(path, flags, mode);
}

static void set_call(const char *name, sqlite3_syscall_ptr call) {
        sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

        assert_int_equal(vfs->xSetSystemCall(vfs, name, call), SQLITE_OK);
}

static Store *watching; /* a reader that looks for run 2 at each write */
static unsigned n_looked, n_missed;

static ssize_t watched_pwrite(int fd, const void *data, size_t n, off_t at) {
        if (watching) {
                n_looked++;
                n_missed += try_read(watching, 2, 200) < 0;
        }
        return failing_pwrite(fd, data, n, at);
}

/* The run is in memory until its new state is in the file, so that a reader always finds it. */
static void test_kept_run_is_found_while_it_is_written(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        write_number(store, 1, 200);
        assert_int_equal(store_open_reader(store, &reader), 0);
        set_call("pwrite", (sqlite3_syscall_ptr)watched_pwrite);
        set_call("pwrite64", (sqlite3_syscall_ptr)watched_pwrite);
        disk_fails = true;
        assert_int_equal(try_write(store, 2, 200, &diag), -EIO);
        assert_int_equal(try_write(store, 3, 200, &diag), -EIO);
        disk_fails = false;
        watching = reader;
        write_number(store, 2, 200);
        watching = NULL;
        assert_true(n_looked > 0);
        assert_int_equal(n_missed, 0);
        assert_int_equal(state_of(store).n_unwritten, 0);
        assert_int_equal(count_runs(store), 3);
        assert_int_equal(try_read(reader, 2, 200), 0);
        set_call("pwrite", NULL);
        set_call("pwrite64", NULL);
}

/* A write that ends early, as on a disk that becomes full in its midst, leaves no error number. */
static void test_index_written_in_part(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        Store store = { .dir_fd = open(scratch.path, O_DIRECTORY | O_CLOEXEC), .index_fd = -EBADF };
        struct rlimit before, limit;

        (void)state;
        assert_true(store.dir_fd >= 0);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = 6 * 1024;
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        errno = 0;
        assert_false(reserve_index(&store));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        assert_true(reserve_index(&store));
        close(store.index_fd);
        close(store.dir_fd);
}

/* Its writes fail, and later it can't even be opened; then it is well again. */
static void test_failing_disk(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        Diag diag = DIAG_NULL;

        (void)state;
        write_number(store, 1, 200);
        set_call("pwrite", (sqlite3_syscall_ptr)failing_pwrite);
        set_call("pwrite64", (sqlite3_syscall_ptr)failing_pwrite);
        disk_fails = true;
        assert_int_equal(try_write(store, 2, 200, &diag), -EIO);
        assert_true(state_of(store).readable && !state_of(store).writable);
        assert_int_equal(try_read(store, 1, 200), 0);
        assert_int_equal(try_read(store, 2, 200), 0);
        disk_fails = false;
        assert_int_equal(store_write_kept(store, &diag), 0);
        assert_true(state_of(store).writable);
        store = store_close(store);

        set_call("open", (sqlite3_syscall_ptr)failing_open);
        disk_fails = true;
        store = open_store(&scratch);
        assert_false(state_of(store).readable);
        assert_int_equal(try_write(store, 3, 200, &diag), -EIO);
        disk_fails = false;
        assert_int_equal(store_write_kept(store, &diag), 0);
        assert_int_equal(count_runs(store), 3);
        set_call("open", NULL);
        set_call("pwrite", NULL);
        set_call("pwrite64", NULL);
}

/* A file that is put in the place of the one that was closed is not mixed with the old log. */
static void test_another_file(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new(), other = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        Diag diag = DIAG_NULL;

        (void)state;
        for (unsigned i = 0; i < 30; i++)
                write_number(store, i, 500);
        store = store_close(store);
        store = open_store(&other);
        write_number(store, 77, 20000);
        store = store_close(store);
        assert_int_equal(rename(other.file, scratch.file), 0);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        assert_int_equal(count_runs(store), 1);
        assert_int_equal(try_read(store, 77, 20000), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_small_writes_on_a_full_disk),
                cmocka_unit_test(test_killed_on_a_full_disk),
                cmocka_unit_test(test_kept_in_memory),
                cmocka_unit_test(test_begun_without_blocks),
                cmocka_unit_test(test_begun_without_inodes),
                cmocka_unit_test(test_read_only_disk),
                cmocka_unit_test(test_index_lost_on_a_full_disk),
                cmocka_unit_test(test_left_by_an_older_version),
                cmocka_unit_test(test_kept_run_is_found_while_it_is_written),
                cmocka_unit_test(test_index_written_in_part),
                cmocka_unit_test(test_failing_disk),
                cmocka_unit_test(test_another_file),
        };

        return cmocka_run_group_tests(tests, go_apart, NULL);
}
