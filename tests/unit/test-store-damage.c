/* SPDX-License-Identifier: MIT */

/* The store on a file that is damaged, taken away, somebody else's, newer or older. */

#include <fcntl.h>
#include <sys/stat.h>

#include "store-scratch.h"

#include "base/io.h"
#include "store/sql.h"

/* In a process of its own: to close a file would drop the locks that SQLite holds on it. */
static void spoil(const Scratch *scratch) {
        static char garbage[64 * 1024];
        int fd = open(scratch->file, O_WRONLY);
        off_t size = lseek(fd, 0, SEEK_END);

        memset(garbage, 0x5a, sizeof(garbage));
        for (off_t at = 0; at < size; at += (off_t)sizeof(garbage)) {
                size_t n = MIN((size_t)(size - at), sizeof(garbage));

                if (pwrite(fd, garbage, n, at) != (ssize_t)n)
                        _exit(1);
        }
        close(fd);
}

static void spoil_middle(const Scratch *scratch) {
        char garbage[3 * 4096];
        int fd = open(scratch->file, O_WRONLY);

        for (size_t i = 0; i < sizeof(garbage); i++)
                garbage[i] = (char)(i * 31);
        if (pwrite(fd, garbage, sizeof(garbage), 20 * 4096) != sizeof(garbage))
                _exit(1);
        close(fd);
}

static void cut_half(const Scratch *scratch) {
        struct stat st;

        if (stat(scratch->file, &st) < 0 || truncate(scratch->file, st.st_size / 2) < 0)
                _exit(1);
}

static void cut_short(const Scratch *scratch) {
        if (truncate(scratch->file, 50) < 0)
                _exit(1);
}

static void cut_uneven(const Scratch *scratch) {
        if (truncate(scratch->file, 4096 + 1000) < 0)
                _exit(1);
}

/* A database of somebody's. */
static void exchange(const Scratch *scratch) {
        if (unlink(scratch->file) < 0)
                _exit(1);
        raw(scratch, "CREATE TABLE customers (name TEXT)");
}

static void (*const damages[])(const Scratch *) = {
        spoil, spoil_middle, cut_half, cut_short, cut_uneven, exchange,
};

/* The one file that was set aside, and whose name the store told. */
static void check_set_aside(const Scratch *scratch, Store *store, const char *content, size_t n) {
        cleanup_free char *aside = NULL;
        char path[256];
        Diag diag = DIAG_NULL;
        const char *name;
        size_t n_aside;

        assert_true(store_take_damage(store, &diag));
        assert_non_null(strstr(diag.text, scratch->file));
        name = strstr(diag.text, STORE_FILE ".damaged-20");
        assert_non_null(name);
        snprintf(path, sizeof(path), "%s/%.*s", scratch->path, (int)strcspn(name, ":"), name);
        assert_int_equal(file_read(AT_FDCWD, path, SIZE_MAX, &aside, &n_aside), 0);
        if (content) {
                assert_int_equal(n_aside, n);
                assert_memory_equal(aside, content, n);
        }
        assert_false(store_take_damage(store, &diag));
}

static void test_damaged_at_open(void **state) {
        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(damages); i++) {
                cleanup(scratch_done) Scratch scratch = scratch_new();
                cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
                cleanup_free char *content = NULL;
                Diag diag = DIAG_NULL;
                size_t n;

                for (unsigned number = 0; number < 300; number++)
                        write_number(store, number, 500);
                store = store_close(store);
                run_child(damages[i], &scratch);
                assert_int_equal(file_read(AT_FDCWD, scratch.file, SIZE_MAX, &content, &n), 0);

                store = open_store(&scratch);
                assert_string_equal(diag.text, "");
                check_set_aside(&scratch, store, content, n);
                assert_int_equal(count_runs(store), 0);
                write_number(store, 1, 10);
                assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
                assert_int_equal(count_runs(reader), 1);
                store = store_close(store);
                store = open_store(&scratch);
                assert_false(store_take_damage(store, &diag));
                assert_int_equal(try_read(store, 1, 10), 0);
        }
}

/* As a crash leaves it that comes before the first write. */
static void test_empty_file(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL;
        Diag diag = DIAG_NULL;

        (void)state;
        assert_int_equal(file_write_atomic(AT_FDCWD, scratch.file, "", 0, 0600), 0);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        write_number(store, 1, 10);

        /* ... and one that comes before the tables. */
        store = store_close(store);
        assert_int_equal(unlink(scratch.file), 0);
        raw(&scratch, "PRAGMA journal_mode = WAL");
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        assert_int_equal(count_runs(store), 0);
}

typedef struct Content {
        SeenImages seen;
        Suspects suspects;
        TrashItems trash;
        AgeClock clock;
} Content;

/* Operation number `i` on a file that is damaged; false when there are no more. */
static bool operate(Store *store, size_t i, Content *content) {
        cleanup(listed_done) Listed listed = { 0 };
        cleanup(seen_images_done) SeenImages seen = { 0 };
        cleanup(suspects_done) Suspects suspects = { 0 };
        cleanup_free Sample *samples = NULL;
        Diag diag = { "as before" };
        AgeClock clock;
        int r;

        switch (i) {
        case 0:
                r = try_write(store, 7, 10, &diag);
                assert_int_equal(try_read(store, 7, 10), 0);
                break;
        case 1:
                r = store_list_runs(store, NULL, 0, 9, list_one, &listed, &diag);
                break;
        case 2:
                r = store_add_sample(store, &(Sample){ .at_sec = 5 }, &diag);
                assert_int_equal(list_samples(store, 0, 9, &samples), 1);
                break;
        case 3:
                assert_int_equal(list_samples(store, 0, 9, &samples), 0);
                r = 0;
                break;
        case 4:
                r = store_trim(store, 0, &diag);
                break;
        case 5:
                r = store_read_seen(store, &seen, &diag);
                assert_int_equal(seen.n, 0);
                break;
        case 6: /* all of them, since none is in the new file */
                r = store_write_seen(store, &content->seen, &diag);
                assert_int_equal(store_read_seen(store, &seen, &diag), 0);
                assert_seen_equal(&seen, &content->seen);
                break;
        case 7:
                r = store_read_suspects(store, &suspects, &diag);
                assert_int_equal(suspects.images.n, 0);
                break;
        case 8:
                r = store_write_suspects(store, &content->suspects, &diag);
                assert_int_equal(store_read_suspects(store, &suspects, &diag), 0);
                assert_int_equal(suspects.images.n, 1);
                break;
        case 9:
                r = store_read_clock(store, &clock, &diag);
                assert_int_equal(clock.age_sec, 0);
                break;
        case 10:
                r = store_write_clock(store, &content->clock, &diag);
                assert_int_equal(store_read_clock(store, &clock, &diag), 0);
                assert_int_equal(clock.age_sec, 9);
                break;
        case 11:
                assert_int_equal(try_read(store, 1, 500), -ENOENT);
                r = 0;
                break;
        case 12:
                assert_trash(store, &(TrashItems){ 0 });
                r = 0;
                break;
        case 13: /* not even a name that the old file had stands against it */
                r = store_add_trash(store, content->trash.v, 1, &diag);
                assert_trash(store, &content->trash);
                break;
        case 14:
                r = store_drop_trash(store, content->trash.v, 1, &diag);
                assert_trash(store, &(TrashItems){ 0 });
                break;
        default:
                return false;
        }
        assert_int_equal(r, 0);
        assert_string_equal(diag.text, "as before");
        return true;
}

static void test_damaged_in_work(void **state) {
        bool more = true;

        (void)state;
        for (size_t i = 0; more; i++) {
                cleanup(scratch_done) Scratch scratch = scratch_new();
                cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
                Content content = { .clock.age_sec = 9 };
                Diag diag = DIAG_NULL;

                for (unsigned number = 0; number < 30; number++) {
                        write_number(store, number, 500);
                        add_seen(&content.seen, number, "r");
                }
                assert_int_equal(named_images_add(&content.suspects.images, "b:1", "sha256:2"), 0);
                assert_int_equal(store_write_seen(store, &content.seen, &diag), 0);
                assert_int_equal(store_write_suspects(store, &content.suspects, &diag), 0);
                assert_int_equal(store_write_clock(store, &content.clock, &diag), 0);
                make_trash(&content.trash, 1);
                assert_int_equal(store_add_trash(store, content.trash.v, 1, &diag), 0);
                store = store_close(store); /* all of it is in the file then, and not in the log */
                store = open_store(&scratch);
                assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
                assert_int_equal(count_runs(store), 30);
                assert_int_equal(count_runs(reader), 30);

                run_child(spoil, &scratch);
                assert_int_equal(store_read_clock(reader, &content.clock, &diag), -EBADMSG);
                assert_int_equal(access(scratch.file, F_OK), 0);
                assert_int_equal(content.clock.age_sec, 9);
                more = operate(store, i, &content);
                if (more) {
                        check_set_aside(&scratch, store, NULL, 0);
                        /* The reader follows to the new file. */
                        write_number(store, 1000, 9);
                        assert_int_equal(try_read(reader, 1000, 9), 0);
                        assert_int_equal(try_read(reader, 1, 500), -ENOENT);
                }
                store = store_close(store);
                store = open_store(&scratch);
                assert_int_equal(store_take_damage(store, &diag), !more);
                seen_images_done(&content.seen);
                suspects_done(&content.suspects);
                trash_items_done(&content.trash);
        }
}

/* By an operator who did not stop the daemon. */
static void test_taken_away(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch), *reader = NULL;
        cleanup(seen_images_done) SeenImages list = { 0 }, back = { 0 };
        Diag diag = DIAG_NULL;

        (void)state;
        add_seen(&list, 1, NULL);
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
        assert_int_equal(unlink(scratch.file), 0);
        assert_int_equal(store_read_clock(reader, &(AgeClock){ 0 }, &diag), -ENOENT);
        write_number(store, 1, 10);
        assert_int_equal(store_write_seen(store, &list, &diag), 0);
        assert_int_equal(try_read(reader, 1, 10), 0);
        assert_true(store_take_damage(store, &diag));
        assert_non_null(strstr(diag.text, "taken away"));
        store = store_close(store);
        store = open_store(&scratch);
        assert_int_equal(try_read(store, 1, 10), 0);
        assert_int_equal(store_read_seen(store, &back, &diag), 0);
        assert_seen_equal(&back, &list);
}

static void test_newer_schema(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = open_store(&scratch);
        cleanup_free char *before = NULL, *after = NULL;
        size_t n_before, n_after;
        Diag diag = DIAG_NULL;
        char version[64];

        (void)state;
        write_number(store, 1, 10);
        store = store_close(store);
        raw(&scratch, "PRAGMA user_version = 99; DROP TABLE runs");
        assert_int_equal(file_read(AT_FDCWD, scratch.file, SIZE_MAX, &before, &n_before), 0);
        assert_int_equal(store_open(scratch.path, &store, &diag), -EPROTONOSUPPORT);
        assert_non_null(strstr(diag.text, scratch.file));
        assert_non_null(strstr(diag.text, "99"));
        assert_int_equal(store_open_reader(scratch.path, &store, &diag), -EPROTONOSUPPORT);
        assert_int_equal(file_read(AT_FDCWD, scratch.file, SIZE_MAX, &after, &n_after), 0);
        assert_int_equal(n_before, n_after);
        assert_memory_equal(before, after, n_before);

        snprintf(version, sizeof(version), "PRAGMA user_version = %d", (int)schema_version);
        raw(&scratch, version);
        assert_int_equal(store_open_reader(scratch.path, &store, &diag), 0);
}

/* A file as version 1 of the schema made it, never to be changed here. */
static const char version_1[] =
        "CREATE TABLE runs (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
        " target TEXT NOT NULL, outcome TEXT NOT NULL, who TEXT NOT NULL,"
        " started INTEGER NOT NULL, finished INTEGER NOT NULL, removed INTEGER NOT NULL,"
        " remaining INTEGER NOT NULL, engine_bytes INTEGER NOT NULL, freed_bytes INTEGER NOT NULL,"
        " took_names INTEGER NOT NULL) STRICT;"
        "CREATE INDEX runs_of_kind ON runs (kind, id);"
        "CREATE TABLE details (n INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,"
        " json TEXT NOT NULL) STRICT;"
        "CREATE TABLE samples (at INTEGER PRIMARY KEY, age INTEGER NOT NULL,"
        " builder_bytes INTEGER NOT NULL, image_bytes INTEGER NOT NULL,"
        " disk_total_bytes INTEGER NOT NULL, disk_free_bytes INTEGER NOT NULL) STRICT;"
        "CREATE TABLE seen (id TEXT PRIMARY KEY, first_seen INTEGER NOT NULL,"
        " named INTEGER NOT NULL, used INTEGER NOT NULL, running_since INTEGER NOT NULL,"
        " tag_mark INTEGER NOT NULL, names_hash INTEGER NOT NULL, repository TEXT)"
        " STRICT, WITHOUT ROWID;"
        "CREATE TABLE suspects (n INTEGER PRIMARY KEY, name TEXT NOT NULL, id TEXT NOT NULL)"
        " STRICT;"
        "CREATE TABLE host (n INTEGER PRIMARY KEY CHECK (n = 1), ever_matched INTEGER NOT NULL,"
        " boot_id TEXT NOT NULL, boot_usec INTEGER NOT NULL, age INTEGER NOT NULL,"
        " age_rest_usec INTEGER NOT NULL, wall_ahead INTEGER NOT NULL,"
        " steady_since INTEGER NOT NULL) STRICT;"
        "INSERT INTO host VALUES (1, 1, 'boot', 2, 3, 4, -5, 6);"
        "INSERT INTO runs VALUES (7, '20260101-00000003', 'clear', 'all', 'fresh', 'root',"
        " 3, 4, 5, 6, 7, 8, 1);"
        "INSERT INTO details VALUES (7, '{\"passes\":2}');"
        "INSERT INTO samples VALUES (1000, 500, 1, 2, 3, 4);"
        "INSERT INTO seen VALUES ('sha256:1', 1, 2, -1, -1, 3, -1, 'app');"
        "INSERT INTO suspects VALUES (1, 'b:1', 'sha256:2');"
        "PRAGMA journal_mode = WAL; PRAGMA application_id = 2003854177; PRAGMA user_version = 1";

static void check_version_1(Store *store) {
        cleanup(listed_done) Listed listed = { 0 };
        cleanup(seen_images_done) SeenImages seen = { 0 };
        cleanup(suspects_done) Suspects suspects = { 0 };
        cleanup(json_free) Json *details = NULL;
        cleanup_free Sample *samples = NULL;
        AgeClock clock;
        Run run = make_run(3);

        assert_int_equal(store_list_runs(store, "clear", 0, 9, list_one, &listed, NULL), 0);
        assert_int_equal(listed.n, 1);
        assert_string_equal(listed.v[0].id, run.id);
        assert_string_equal(listed.v[0].outcome, "fresh");
        assert_int_equal(listed.v[0].freed_bytes, 8);
        assert_true(listed.v[0].took_names);
        assert_int_equal(store_read_run(store, run.id, &details, NULL), 0);
        assert_int_equal(json_get_int(details, "passes", 0), 2);
        assert_int_equal(list_samples(store, 0, 9, &samples), 1);
        assert_int_equal(samples[0].disk_free_bytes, 4);
        assert_int_equal(store_read_seen(store, &seen, NULL), 0);
        assert_int_equal(seen.n, 1);
        assert_string_equal(seen.v[0].repository, "app");
        assert_true(seen.v[0].names_hash == UINT64_MAX);
        assert_int_equal(seen.v[0].rollback_since_sec, -1);
        assert_int_equal(store_read_suspects(store, &suspects, NULL), 0);
        assert_int_equal(suspects.images.n, 1);
        assert_string_equal(suspects.images.v[0].name, "b:1");
        assert_true(suspects.ever_matched);
        assert_int_equal(store_read_clock(store, &clock, NULL), 0);
        assert_int_equal(clock.wall_ahead_sec, -5);
}

/* What an older daemon remembers stays, and an older daemon would leave the file alone from then on. */
static void test_upgrade(void **state) {
        cleanup(scratch_done) Scratch scratch = scratch_new();
        cleanup(store_close) Store *store = NULL, *reader = NULL;
        cleanup(trash_items_done) TrashItems items = { 0 };
        Diag diag = DIAG_NULL;
        char check[192];

        (void)state;
        raw(&scratch, version_1);
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), -EPROTONOSUPPORT);
        store = open_store(&scratch);
        assert_false(store_take_damage(store, &diag));
        check_version_1(store);
        assert_trash(store, &items);
        make_trash(&items, 1);
        assert_int_equal(store_add_trash(store, items.v, 1, &diag), 0);
        assert_int_equal(store_open_reader(scratch.path, &reader, &diag), 0);
        check_version_1(reader);
        assert_trash(reader, &items);

        /* Once. */
        reader = store_close(reader);
        store = store_close(store);
        snprintf(check, sizeof(check),
                 "CREATE TABLE t (n INTEGER CHECK (n = %d)) STRICT;"
                 "INSERT INTO t SELECT user_version FROM pragma_user_version; DROP TABLE t",
                 (int)schema_version);
        raw(&scratch, check);
        store = open_store(&scratch);
        check_version_1(store);
        assert_trash(store, &items);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_damaged_at_open), cmocka_unit_test(test_empty_file),
                cmocka_unit_test(test_damaged_in_work), cmocka_unit_test(test_taken_away),
                cmocka_unit_test(test_newer_schema),    cmocka_unit_test(test_upgrade),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
