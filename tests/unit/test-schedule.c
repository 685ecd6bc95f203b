/* SPDX-License-Identifier: MIT */

/* When polls and policy runs come, on a simulated clock. */

#include <stdio.h>
#include <string.h>

#include "daemon/schedule.h"
#include "test.h"

#define START_SEC 1000

typedef struct World {
        Schedule schedule;
        Config config;
        Summary summary;
        ScheduleFacts facts;
} World;

static void world_init(World *world) {
        *world = (World){
                .config = { .poll_interval_usec = USEC_PER_MINUTE,
                            .poll_share_percent = 10,
                            .quiet_usec = 30 * USEC_PER_SEC },
                .summary.hold_left_sec = -1,
        };
        world->facts.config = &world->config;
        world->facts.summary = &world->summary;
        world->facts.now_usec = world->facts.host_usec = START_SEC * USEC_PER_SEC;
        schedule_init(&world->schedule, world->facts.now_usec, world->facts.host_usec);
}

static void policy_ended(World *world, char how) {
        PolicyResult result = {
                .error = how == 'f' ? "failed" : NULL,
                .canceled = how == 'c',
                .recorded = how == 'g' || how == 'v',
                .no_progress = how == 'f' || how == 'v',
        };

        schedule_policy_ended(&world->schedule, &result, &world->facts);
}

/*
 * Letters: b the poll that is due begins, p it succeeds, x it fails, m it can't be submitted; e an event,
 * E one that was known; s a poll is asked for in 2 s, r the configuration is reloaded, S the daemon stops;
 * d policy is due, D it is not; w policy wants something and is held for 20 s; u the disk is full;
 * k the engine has the containerd store and its events are heard; t the engine took 30 s for a poll;
 * B something removes, N nothing does; a policy run ended: g with progress, v without, f failed, 0 a hold
 * came up, c canceled. "+9": 9 s pass.
 */
static void play(World *world, const char *events, bool *ret_run) {
        Schedule *schedule = &world->schedule;
        char *end;

        for (const char *at = events; *at; at++)
                switch (*at) {
                case '+':
                        world->facts.now_usec += strtoul(at + 1, &end, 10) * USEC_PER_SEC;
                        world->facts.host_usec = world->facts.now_usec;
                        at = end - 1;
                        break;
                case 'b':
                        assert_true(schedule_poll_at(schedule, &world->facts) <=
                                    world->facts.now_usec);
                        schedule_poll_begins(schedule);
                        break;
                case 'p':
                        *ret_run = schedule_polled(schedule, &world->facts);
                        if (*ret_run)
                                strcpy(schedule->policy_id, "run");
                        break;
                case 'x':
                        schedule_poll_failed(schedule, &world->facts);
                        break;
                case 'm':
                        schedule_poll_delayed(schedule, &world->facts);
                        break;
                case 'e':
                        schedule_events(schedule, world->facts.now_usec, world->facts.host_usec);
                        break;
                case 'E':
                        schedule_events(schedule, world->facts.now_usec, 0);
                        break;
                case 's':
                        schedule_poll_within(schedule, world->facts.now_usec, SETTLE_USEC);
                        break;
                case 'r':
                        schedule_reload(schedule, world->facts.now_usec);
                        break;
                case 'S':
                        schedule->stopped = true;
                        break;
                case 'd':
                case 'D':
                        world->summary.due = *at == 'd';
                        break;
                case 'w':
                        world->summary.wanted = true;
                        world->summary.hold_left_sec = 20;
                        break;
                case 'u':
                        world->summary.pressure = true;
                        break;
                case 'k':
                        world->summary.engine.image_store = IMAGE_STORE_CONTAINERD;
                        world->facts.event_stream_connected = true;
                        break;
                case 't':
                        world->summary.build_cache_usec = 30 * USEC_PER_SEC;
                        break;
                case 'B':
                case 'N':
                        world->facts.busy = *at == 'B';
                        break;
                case ' ':
                        break;
                default:
                        policy_ended(world, *at);
                }
}

#define NEVER -1

/* After the events: in how many seconds the next poll is due, and whether the last poll began a policy run. */
static void test_times(void **state) {
        static const struct {
                const char *events;
                int poll_in_sec;
                bool runs;
        } table[] = {
                { "", 0, false },
                { "b", NEVER, false },
                { "bp", 60, false },
                { "bp +45", 15, false },
                { "bm", 60, false },
                { "bpS", NEVER, false },
                /* The engine spends a tenth of its time on polls, and no more. */
                { "btp", 300, false },
                /* A failed poll is tried again soon, and then less often. */
                { "bx", 2, false },
                { "bx +2 bx", 4, false },
                { "bx +2 bx +4 bx +8 bx +16 bx", 32, false },
                { "bx +2 bx +4 bx +8 bx +16 bx +32 bx", 60, false },
                { "bx +2 bp +60 bx", 2, false },
                /* Events are awaited until they are over, but not for long. */
                { "bp e", 2, false },
                { "bp e +1 e", 2, false },
                { "bp e +1 e +1 e +1 e +1 e +1 e +1 e +1 e +1 e", 2, false },
                { "bp e +1 e +1 e +1 e +1 e +1 e +1 e +1 e +1 e +1 e", 1, false },
                { "bp e +2 b", NEVER, false },
                { "bp e +2 bp", 60, false },
                { "bp E", 2, false },
                { "bp +59 e", 1, false },
                { "btp e", 300, false },
                /* An event during a poll counts for the next one. */
                { "be +1 p", 1, false },
                /* Asked for */
                { "bp s", 2, false },
                { "b s +1 p", 1, false },
                { "bp +59 s", 1, false },
                { "bp r", 0, false },
                /* The containerd store is polled less often, unless a disk is full. */
                { "bkp", 300, false },
                { "bkup", 60, false },
                { "bke +2 p", 0, false },
                /* A hold that ends by itself is not slept through. */
                { "bwp", 21, false },
                { "bkwp", 21, false },
                /* Policy */
                { "bdp", 60, true },
                { "bDp", 60, false },
                { "bdBp", 60, false },
                { "bdSp", NEVER, false },
                { "bdp +60 bp", 60, false },
                { "bdp +1 g", 2, true },
                { "bdp +1 g +2 bp", 60, true },
                { "bdp g +2 bBp", 60, false },
                /* A run without progress is tried again after an interval, two, four and so on. */
                { "bdp v +2 bp", 58, false },
                { "bdp f +2 bp", 58, false },
                { "bdp 0 +2 bp", 58, false },
                { "bdp v +60 bp", 60, true },
                { "bdp v +60 bp v +60 bp", 60, false },
                { "bdp v +60 bp v +120 bp", 60, true },
                { "bdp v +60 bp v +120 bp v +239 bp", 1, false },
                { "bdp v +60 bp v +120 bp v +240 bp", 60, true },
                { "bdp v +60 bp v +120 bp g +2 bp", 60, true },
                /* Canceled runs count for nothing, and another configuration begins anew. */
                { "bdp c +60 bp", 60, true },
                { "bdp v +60 bp v r bp", 60, true },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                World world;
                bool runs = false;
                uint64_t at_usec;
                int in_sec;

                world_init(&world);
                play(&world, table[i].events, &runs);
                at_usec = schedule_poll_at(&world.schedule, &world.facts);
                in_sec = at_usec == USEC_INFINITY ? NEVER
                         : at_usec < world.facts.now_usec
                                 ? 0
                                 : (int)((at_usec - world.facts.now_usec) / USEC_PER_SEC);
                if (in_sec != table[i].poll_in_sec || runs != table[i].runs)
                        fail_msg("%s: poll in %i s, policy %s", table[i].events, in_sec,
                                 runs ? "runs" : "does not run");
        }
        (void)state;
}

static void test_overdue(void **state) {
        static const struct {
                const char *events;
                unsigned interval_sec, overdue_in_sec;
        } table[] = {
                { "", 60, 180 },    { "b +10", 60, 170 }, { "bp", 60, 180 }, { "bp +30", 60, 150 },
                { "btp", 60, 900 }, { "bkp", 60, 900 },   { "bp", 1, 15 },   { "bp +500 b", 60, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                World world;
                bool runs;
                uint64_t usec;

                world_init(&world);
                world.config.poll_interval_usec = table[i].interval_sec * USEC_PER_SEC;
                play(&world, table[i].events, &runs);
                usec = schedule_overdue_usec(&world.schedule, &world.facts);
                if (usec != table[i].overdue_in_sec * USEC_PER_SEC)
                        fail_msg("%s: %llu s", table[i].events,
                                 (unsigned long long)(usec / USEC_PER_SEC));
        }
        (void)state;
}

static void test_activity(void **state) {
        World world;
        bool runs;

        world_init(&world);
        play(&world, "bp +40", &runs);
        assert_int_equal(schedule_quiet_sec(&world.schedule, world.facts.host_usec), 40);
        assert_false(schedule_events(&world.schedule, world.facts.now_usec, 1));
        assert_int_equal(schedule_quiet_sec(&world.schedule, world.facts.host_usec), 40);
        assert_true(schedule_events(&world.schedule, world.facts.now_usec, world.facts.host_usec));
        assert_int_equal(schedule_quiet_sec(&world.schedule, world.facts.host_usec), 0);
        assert_int_equal(schedule_quiet_sec(&world.schedule, 0), 0);
        play(&world, "+70", &runs);
        world.summary.changed = true;
        play(&world, "bp", &runs);
        assert_int_equal(schedule_quiet_sec(&world.schedule, world.facts.host_usec), 0);
        (void)state;
}

static void test_hold(void **state) {
        static const struct {
                Hold hold;
                size_t n_inhibitors;
                int64_t quiet_sec;
                Hold now;
        } table[] = {
                { HOLD_NONE, 0, 0, HOLD_NONE },
                { HOLD_NONE, 1, 0, HOLD_INHIBITED },
                { HOLD_OBSERVE, 1, 0, HOLD_OBSERVE },
                { HOLD_GRACE, 1, 0, HOLD_GRACE },
                { HOLD_BUILDING, 0, 0, HOLD_BUILDING },
                { HOLD_BUILDING, 1, 0, HOLD_INHIBITED },
                { HOLD_QUIET, 0, 100, HOLD_QUIET },
                /* The inhibitor of the last poll has ended since. */
                { HOLD_INHIBITED, 0, 29, HOLD_QUIET },
                { HOLD_INHIBITED, 0, 30, HOLD_NONE },
                { HOLD_INHIBITED, 2, 30, HOLD_INHIBITED },
        };
        Config config = { .quiet_usec = 30 * USEC_PER_SEC };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(
                        hold_now(table[i].hold, table[i].n_inhibitors, table[i].quiet_sec, &config),
                        table[i].now);
        (void)state;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_overdue),
                cmocka_unit_test(test_activity),
                cmocka_unit_test(test_hold),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
