/* SPDX-License-Identifier: MIT */

/* When alarms are raised and cleared, on a simulated clock. */

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "daemon/alarms.h"
#include "test.h"

#define MINUTE 60

/* One poll, or another event, and the alarms that it raises (+) or clears (-). */
typedef struct Step {
        uint64_t at_sec;
        /* What is new, in order; a letter keeps its effect until another one ends it:
         *   x a poll fails, X polls succeed
         *   d a disk is full, D it is not
         *   w policy wants to remove something, W it wants nothing
         *   b a build holds policy, i an inhibitor, o mode=observe, n nothing
         *   u a disk can't be seen, U all disks can be
         *   h a build holds records, H it holds others, l records have leaked, c neither
         *   s the store can't be written, m it can't be read, S all is well with it
         *   p policy state could not be stored at this poll
         * and a policy run: f failed, r left objects, v removed nothing, g made progress, 0 found a hold */
        const char *news;
        const char *changes;
} Step;

typedef struct World {
        Alarms alarms;
        Config config;
        EngineState engine;
        Disk disk;
        char *unseen;
        AlarmFacts facts;
} World;

static void policy_run(World *world, char how) {
        PolicyResult result = {
                .error = how == 'f' ? "the engine said no" : NULL,
                .recorded = how != '0' && how != 'f',
                .no_progress = how != 'g' && how != '0',
                .run.n_remaining = how == 'r',
        };
        char left[] = "sha256:1";

        result.left = how == 'r' ? left : NULL;
        alarms_policy_run(&world->alarms, &result, world->engine.full_disk != NULL);
}

static void poll(World *world, bool failed) {
        world->engine.reason = failed ? world->unseen : NULL;
        world->engine.error = failed ? -ECONNREFUSED : 0;
        if (failed && world->facts.n_failures++ == 0)
                world->facts.failing_since_usec = world->facts.now_usec;
        if (!failed)
                world->facts.n_failures = 0;
}

static void apply(World *world, char letter) {
        Summary *summary = &world->engine.summary;

        switch (letter) {
        case 'x':
        case 'X':
                poll(world, letter == 'x');
                break;
        case 'd':
        case 'D':
                world->engine.full_disk = letter == 'd' ? &world->disk : NULL;
                break;
        case 'w':
        case 'W':
                summary->wanted = letter == 'w';
                break;
        case 'b':
        case 'i':
        case 'o':
        case 'n':
                world->facts.hold = letter == 'b'   ? HOLD_BUILDING
                                    : letter == 'i' ? HOLD_INHIBITED
                                    : letter == 'o' ? HOLD_OBSERVE
                                                    : HOLD_NONE;
                break;
        case 'u':
        case 'U':
                summary->disks.unseen = (Strv){ .v = &world->unseen, .n = letter == 'u' };
                break;
        case 'h':
        case 'H':
        case 'l':
        case 'c':
                summary->held_hash = letter == 'h' ? 1 : letter == 'H' ? 2 : 0;
                summary->records_in_use = letter != 'c';
                summary->records_leaked = letter == 'l';
                if (letter == 'l')
                        summary->leaked_since_usec = world->facts.now_usec;
                break;
        case 's':
        case 'm':
        case 'S':
                world->engine.store.writable = letter == 'S';
                world->engine.store.readable = letter != 'm';
                break;
        case 'p':
                summary->store_error = world->unseen;
                break;
        default:
                policy_run(world, letter);
        }
}

static void add_changes(const World *world, char *text, size_t size) {
        const AlarmChanges *changes = &world->alarms.changes;

        for (size_t i = 0; i < changes->n; i++)
                snprintf(text + strlen(text), size - strlen(text), "%s%c%s", text[0] ? " " : "",
                         world->alarms.v[changes->v[i]].standing ? '+' : '-',
                         alarm_kind_to_string(changes->v[i]));
}

static void play(const char *name, const Step *steps) {
        char unseen[] = "/mnt: Permission denied", path[] = "/var";
        World world = {
                .disk = { .path = path, .total_bytes = 100, .free_bytes = 1 },
                .unseen = unseen,
        };

        world.config.poll_interval_usec = USEC_PER_MINUTE;
        world.config.min_free.bytes = 10;
        world.engine.store.readable = world.engine.store.writable = true;
        world.engine.summary.observed_sec = 1;
        world.config.docker_socket = path;
        world.facts = (AlarmFacts){ .config = &world.config,
                                    .engine = &world.engine,
                                    .state_path = "/state" };
        for (; steps->news; steps++) {
                char changes[256] = "";

                world.facts.now_usec = (steps->at_sec + 1000) * USEC_PER_SEC;
                world.facts.now_sec = (int64_t)steps->at_sec + 1000;
                for (const char *at = steps->news; *at; at++)
                        apply(&world, *at);
                alarms_update(&world.alarms, &world.facts);
                add_changes(&world, changes, sizeof(changes));
                world.engine.summary.store_error = NULL;
                if (strcmp(changes, steps->changes) != 0)
                        fail_msg("%s at %llu s: '%s', not '%s'", name,
                                 (unsigned long long)steps->at_sec, changes, steps->changes);
        }
        alarms_done(&world.alarms);
}

static void test_steps(void **state) {
        static const struct {
                const char *name;
                Step steps[8];
        } table[] = {
                { "the engine is away for three intervals",
                  { { 0, "x", "" },
                    { 1 * MINUTE, "x", "" },
                    { 2 * MINUTE, "x", "" },
                    { 3 * MINUTE, "x", "+engineUnavailable" },
                    { 4 * MINUTE, "x", "" },
                    { 5 * MINUTE, "X", "-engineUnavailable" } } },
                { "three quick failures are no three intervals",
                  { { 0, "x", "" }, { 2, "x", "" }, { 6, "x", "" }, { 14, "X", "" } } },
                { "a policy run fails",
                  { { 0, "wf", "+passFailed" }, { 60, "", "" }, { 120, "g", "-passFailed" } } },
                { "what failed is no longer wanted",
                  { { 0, "wf", "+passFailed" }, { 60, "W", "-passFailed" } } },
                { "a run that fails since the engine is away", { { 0, "wfx", "" } } },
                { "an object stays twice",
                  { { 0, "wr", "" },
                    { 60, "r", "+candidatesLeft" },
                    { 120, "0", "" },
                    { 180, "g", "-candidatesLeft" } } },
                { "a full disk and nothing to remove",
                  { { 0, "d", "+diskPressure" }, { 60, "w", "" }, { 120, "D", "-diskPressure" } } },
                { "a full disk and policy at work",
                  { { 0, "dw", "" }, { 60, "g", "" }, { 120, "D", "" } } },
                { "a full disk and policy that makes no progress",
                  { { 0, "dw", "" }, { 60, "v", "" }, { 120, "v", "+diskPressure" } } },
                { "a full disk and mode=observe", { { 0, "dwo", "+diskPressure" } } },
                { "a full disk, held by a build for a while",
                  { { 0, "dwb", "" },
                    { 14 * MINUTE, "", "" },
                    { 15 * MINUTE, "", "+diskPressure" },
                    { 16 * MINUTE, "n", "" },
                    { 17 * MINUTE, "D", "-diskPressure" } } },
                { "the pressure begins anew",
                  { { 0, "dwi", "" },
                    { 10 * MINUTE, "D", "" },
                    { 11 * MINUTE, "d", "" },
                    { 16 * MINUTE, "", "" },
                    { 26 * MINUTE, "", "+diskPressure" } } },
                { "a disk can't be seen",
                  { { 0, "u", "+diskUnseen" }, { 60, "u", "" }, { 120, "U", "-diskUnseen" } } },
                { "a build hangs",
                  { { 0, "h", "" },
                    { 119 * MINUTE, "", "" },
                    { 120 * MINUTE, "", "+recordInUse" },
                    { 121 * MINUTE, "H", "-recordInUse" } } },
                { "one build after the other",
                  { { 0, "h", "" },
                    { 60 * MINUTE, "H", "" },
                    { 120 * MINUTE, "", "" },
                    { 180 * MINUTE, "", "+recordInUse" } } },
                { "records leaked",
                  { { 0, "l", "" },
                    { 120 * MINUTE, "", "+recordInUse" },
                    { 121 * MINUTE, "c", "-recordInUse" } } },
                { "the store fails",
                  { { 0, "s", "+storeFailed" }, { 60, "m", "" }, { 120, "S", "-storeFailed" } } },
                { "policy state could not be stored",
                  { { 0, "p", "+storeFailed" }, { 60, "", "-storeFailed" } } },
                { "figures of before say nothing while the engine is away",
                  { { 0, "u", "+diskUnseen" }, { 60, "Ux", "" }, { 120, "X", "-diskUnseen" } } },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                play(table[i].name, table[i].steps);
        (void)state;
}

static void test_overdue(void **state) {
        Config config = { .poll_interval_usec = USEC_PER_MINUTE };
        EngineState engine = { .store = { .readable = true, .writable = true } };
        AlarmFacts facts = { .config = &config, .engine = &engine, .state_path = "/state" };
        Alarms alarms = { 0 };
        const AlarmChanges *changes = &alarms.changes;

        alarms_poll_overdue(&alarms, 180 * USEC_PER_SEC, "a plan runs since 3min", 7);
        assert_int_equal(changes->n, 1);
        assert_int_equal(alarms.v[ALARM_POLL_OVERDUE].since_sec, 7);
        /* The message is kept up to date; that is no change. */
        alarms_poll_overdue(&alarms, 240 * USEC_PER_SEC, "a rollback runs since 2s", 8);
        assert_int_equal(changes->n, 0);
        assert_int_equal(alarms.v[ALARM_POLL_OVERDUE].since_sec, 7);
        assert_string_equal(alarms.v[ALARM_POLL_OVERDUE].message,
                            "no poll has ended for 4min: a rollback runs since 2s");
        alarms_update(&alarms, &facts);
        assert_int_equal(changes->n, 1);
        assert_int_equal(changes->v[0], ALARM_POLL_OVERDUE);
        assert_false(alarms.v[ALARM_POLL_OVERDUE].standing);
        alarms_done(&alarms);
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_steps),
                cmocka_unit_test(test_overdue),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
