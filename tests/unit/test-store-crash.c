/* SPDX-License-Identifier: MIT */

/* The store in a process that is killed, and in a directory that it may not write to. */

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "store-scratch.h"

#include "base/io.h"

#define NOBODY 65534

static void open_unwritable(const Scratch *scratch) {
        Diag diag = DIAG_NULL;
        Store *store;

        if (geteuid() == 0 && setuid(NOBODY) < 0)
                _exit(1);
        if (store_open(scratch->path, &store, &diag) != -EACCES ||
            !strstr(diag.text, scratch->path))
                _exit(2);
}

static void test_unwritable(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();

        (void)state;
        assert_int_equal(chmod(scratch.path, 0555), 0);
        run_child(open_unwritable, &scratch);
        assert_int_equal(chmod(scratch.path, 0755), 0);
}

#define KILLS 100

/* Every third is long, so that the log is moved into the file time and again. */
static size_t length_of(unsigned number) {
        return number % 3 ? 200 : 40000;
}

/* Two items go with every run, added before it; those of the run before go after it. */
static void make_pair(TrashItems *pair, unsigned number) {
        make_trash(pair, 2 * number);
        make_trash(pair, 2 * number + 1);
}

static void write_until_killed(const Scratch *scratch, unsigned number, int fd) {
        TrashItems left = { 0 };
        SeenImages seen = { 0 };
        Store *store;

        if (store_open(scratch->path, &store, NULL) < 0 ||
            store_read_trash(store, &left, NULL) < 0 ||
            store_drop_trash(store, left.v, left.n, NULL) < 0)
                _exit(1);
        add_seen(&seen, number, "r");
        for (;; number++) {
                cleanup(trash_items_done) TrashItems pairs = { 0 };

                make_pair(&pairs, number - 1);
                make_pair(&pairs, number);
                if (store_add_trash(store, pairs.v + 2, 2, NULL) < 0 ||
                    try_write(store, number, length_of(number), NULL) < 0 ||
                    store_drop_trash(store, pairs.v, 2, NULL) < 0 ||
                    write(fd, &number, sizeof(number)) != sizeof(number))
                        _exit(2);
                seen.v[0].dirty = true;
                if (store_write_seen(store, &seen, NULL) < 0 ||
                    (number % 50 == 0 && store_trim(store, number - 500, NULL) < 0))
                        _exit(3);
        }
}

/* Starts a writer, kills it at some time, and returns the number of the last run that it told. */
static unsigned write_and_kill(const Scratch *scratch, unsigned number) {
        unsigned told = number - 1, next;
        uint16_t random;
        int fds[2], status;
        pid_t pid;

        assert_int_equal(getrandom(&random, sizeof(random), 0), sizeof(random));
        assert_int_equal(pipe(fds), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                write_until_killed(scratch, number, fds[1]);
        close(fds[1]);
        /* While it opens the store, or in the middle of work. */
        if (random % 2) {
                assert_int_equal(read(fds[0], &next, sizeof(next)), sizeof(next));
                assert_int_equal(next, number);
                told = next;
        }
        usleep(random % 20000);
        kill(pid, SIGKILL);
        while (read(fds[0], &next, sizeof(next)) == sizeof(next)) {
                assert_int_equal(next, told + 1);
                told = next;
        }
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        return told;
}

/* Those of the run that was told last, or of the next one, or of both. */
static void check_pairs(Store *store, unsigned told) {
        cleanup(trash_items_done) TrashItems pairs = { 0 }, expected = { 0 };
        unsigned first;

        assert_int_equal(store_read_trash(store, &pairs, NULL), 0);
        assert_true(pairs.n > 0);
        first = (unsigned)strtoul(pairs.v[0].name, NULL, 16) / 2;
        assert_in_range(first, told, told + 1);
        make_pair(&expected, first);
        if (pairs.n > 2 && first == told)
                make_pair(&expected, told + 1);
        assert_trash(store, &expected);
}

static void test_kills(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        unsigned number = 1000, n_told = 0;

        (void)state;
        for (unsigned round = 0; round < KILLS; round++) {
                unsigned told = write_and_kill(&scratch, number);
                cleanup(store_close) Store *store = open_store(&scratch);
                cleanup(listed_done) Listed listed = { 0 };
                Diag diag = DIAG_NULL;

                assert_false(store_take_damage(store, &diag));
                for (unsigned i = MAX(number, told < 500 ? 0 : told - 450); i <= told; i++)
                        assert_int_equal(try_read(store, i, length_of(i)), 0);
                /* What was not told is there wholly or not at all, and nothing is between. */
                assert_int_equal(store_list_runs(store, NULL, 0, 500, list_one, &listed, &diag), 0);
                assert_true(listed.n > 0 || told < 1000);
                for (size_t i = 0; i < listed.n; i++) {
                        unsigned there = (unsigned)listed.v[i].started_sec;

                        assert_int_equal(there + i, listed.v[0].started_sec);
                        assert_int_equal(try_read(store, there, length_of(there)), 0);
                }
                if (listed.n > 0)
                        assert_in_range(listed.v[0].started_sec, told, told + 1);
                if (told >= number)
                        check_pairs(store, told);
                n_told += told + 1 - number;
                number = listed.n > 0 ? (unsigned)listed.v[0].started_sec + 1 : number;
        }
        print_message("%u runs told in %d lives\n", n_told, KILLS);
        assert_true(n_told > KILLS / 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unwritable),
                cmocka_unit_test(test_kills),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
