/* SPDX-License-Identifier: MIT */

#include "host.h"

#define SEC USEC_PER_SEC

/* One observation: the ids in use by their letters, and what is known of builds. */
typedef struct Sight {
        unsigned at_sec; /* since the first one */
        const char *in_use;
        bool history;
        size_t n_running;
        uint64_t completed;
        bool source;  /* without a history: a Dockerfile's source is in use */
        bool unknown; /* the history could not be read */
        const char *leaked;
} Sight;

static Builds builds_of(const Sight *sight) {
        Builds builds = {
                .history = sight->history,
                .n_running = sight->n_running,
                .source_in_use = sight->source,
        };

        if (sight->unknown)
                strcpy(builds.unknown, "timed out");
        for (const char *p = sight->in_use; *p; p++)
                assert_int_equal(id_set_add(&builds.in_use, (char[]){ *p, '\0' }), 0);
        return builds;
}

static void check(const Sight *sights, size_t n) {
        BuildWatch watch = { 0 };

        for (size_t i = 0; i < n; i++) {
                Builds builds = builds_of(&sights[i]);
                uint64_t at_usec = 1000 * SEC + sights[i].at_sec * SEC;

                assert_int_equal(
                        builds_judge(&watch, sights[i].completed, at_usec, at_usec, &builds), 0);
                assert_int_equal(builds.leaked.n, strlen(sights[i].leaked));
                for (const char *p = sights[i].leaked; *p; p++)
                        assert_true(id_set_contains(&builds.leaked, (char[]){ *p, '\0' }));
                assert_int_equal(builds.leaked_since_usec != 0, builds.leaked.n > 0);
                builds_done(&builds);
        }
        build_watch_done(&watch);
}

#define CHECK(...)                                      \
        do {                                            \
                const Sight sights[] = { __VA_ARGS__ }; \
                check(sights, ELEMENTSOF(sights));      \
        } while (false)

static void test_leaked_with_a_history(void **state) {
        (void)state;
        /* two seconds apart, whatever comes in between */
        CHECK({ 0, "abc", true, .leaked = "" }, { 1, "abc", true, .leaked = "" },
              { 2, "abc", true, .leaked = "abc" }, { 3, "abc", true, .leaked = "abc" });
        /* one that is let go in between, and comes back, is not the same use */
        CHECK({ 0, "ab", true, .leaked = "" }, { 1, "a", true, .leaked = "" },
              { 2, "ab", true, .leaked = "a" }, { 5, "ab", true, .leaked = "ab" });
        /* more than before */
        CHECK({ 0, "a", true, .leaked = "" }, { 60, "ab", true, .leaked = "a" },
              { 120, "ab", true, .leaked = "ab" });
        /* the engine was restarted */
        CHECK({ 0, "ab", true, .leaked = "" }, { 60, "ab", true, .leaked = "ab" },
              { 120, "", true, .leaked = "" }, { 180, "c", true, .leaked = "" },
              { 240, "c", true, .leaked = "c" });
}

static void test_no_leak_while_builds_run(void **state) {
        (void)state;
        /* in either observation, or between them */
        CHECK({ 0, "ab", true, 1, .leaked = "" }, { 60, "ab", true, 0, .leaked = "" },
              { 62, "ab", true, 0, .leaked = "ab" });
        CHECK({ 0, "ab", true, .leaked = "" }, { 60, "ab", true, 1, .leaked = "" },
              { 120, "ab", true, 1, .leaked = "" });
        CHECK({ 0, "ab", true, 0, 5, .leaked = "" }, { 60, "ab", true, 0, 6, .leaked = "" },
              { 120, "ab", true, 0, 6, .leaked = "ab" });
        /* too early, and a build in between */
        CHECK({ 0, "ab", true, .leaked = "" }, { 1, "ab", true, 1, .leaked = "" },
              { 2, "ab", true, .leaked = "" }, { 4, "ab", true, .leaked = "ab" });
        /* a failure may hide one */
        CHECK({ 0, "ab", true, .leaked = "" }, { 60, "ab", .unknown = true, .leaked = "" },
              { 120, "ab", true, .leaked = "" }, { 180, "ab", true, .leaked = "ab" });
        CHECK({ 0, "ab", .unknown = true, .leaked = "" },
              { 60, "ab", .unknown = true, .leaked = "" });
}

static void test_leaked_stay_so_while_builds_run(void **state) {
        (void)state;
        CHECK({ 0, "ab", true, .leaked = "" }, { 60, "ab", true, .leaked = "ab" },
              { 120, "abcd", true, 1, .leaked = "ab" }, { 180, "acd", true, 1, .leaked = "a" },
              { 240, "acd", true, 0, 1, .leaked = "a" },
              { 300, "acd", true, 0, 1, .leaked = "acd" });
        CHECK({ 0, "ab", .leaked = "" }, { 60, "ab", .leaked = "ab" },
              { 120, "abc", .source = true, .leaked = "ab" }, { 180, "ab", .leaked = "ab" });
}

static void test_leaked_without_a_history(void **state) {
        (void)state;
        CHECK({ 0, "ab", .leaked = "" }, { 2, "ab", .leaked = "ab" });
        /* time is no proof: a long RUN */
        CHECK({ 0, "ab", .source = true, .leaked = "" },
              { 7200, "ab", .source = true, .leaked = "" });
        CHECK({ 0, "ab", .source = true, .leaked = "" }, { 60, "ab", .leaked = "" },
              { 120, "ab", .leaked = "ab" });
        /* an observation with a history and one without have nothing in common */
        CHECK({ 0, "ab", true, .leaked = "" }, { 60, "ab", .leaked = "" },
              { 120, "ab", .leaked = "ab" });
}

static void test_since(void **state) {
        const Sight sights[] = {
                { 0, "a", true },    { 60, "a", true },      { 120, "ab", true },
                { 180, "ab", true }, { 240, "ab", true, 1 }, { 300, "b", true },
        };
        static const unsigned since_sec[] = { 0, 1000, 1000, 1000, 1000, 1120 };
        BuildWatch watch = { 0 };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(sights); i++) {
                Builds builds = builds_of(&sights[i]);
                uint64_t at_usec = 1000 * SEC + sights[i].at_sec * SEC;

                assert_int_equal(builds_judge(&watch, 0, at_usec, at_usec, &builds), 0);
                assert_int_equal(builds.leaked_since_usec, since_sec[i] * SEC);
                builds_done(&builds);
        }
        build_watch_done(&watch);
}

static void test_many(void **state) {
        BuildWatch watch = { 0 };

        (void)state;
        for (unsigned turn = 0; turn < 3; turn++) {
                Builds builds = { .history = true };
                char id[16];

                for (unsigned i = 0; i < 100000; i++) {
                        snprintf(id, sizeof(id), "%u", (i * 7919) % 100000);
                        assert_int_equal(id_set_add(&builds.in_use, id), 0);
                }
                assert_int_equal(builds_judge(&watch, 0, (turn + 1) * 60 * SEC,
                                              (turn + 1) * 60 * SEC, &builds),
                                 0);
                assert_int_equal(builds.leaked.n, turn > 0 ? 100000 : 0);
                assert_int_equal(builds_held_hash(&builds) == 0, turn > 0);
                builds_done(&builds);
        }
        build_watch_done(&watch);
}

/* Each thing that looks like a build makes a hash of its own; what has leaked does not. */
static void test_held(void **state) {
        Builds builds = { .history = true };

        (void)state;
        assert_int_equal(builds_held_hash(&builds), 0);
        builds.n_running = 1;
        assert_int_not_equal(builds_held_hash(&builds), 0);
        builds.running_hash = 7;
        assert_int_equal(builds_held_hash(&builds), 7);
        builds.n_running = 0;
        builds.running_hash = 0;
        strcpy(builds.unknown, "timed out");
        assert_int_not_equal(builds_held_hash(&builds), 0);
        builds.unknown[0] = '\0';
        assert_int_equal(id_set_add(&builds.in_use, "a"), 0);
        assert_int_not_equal(builds_held_hash(&builds), 0);
        assert_int_equal(id_set_add(&builds.leaked, "a"), 0);
        assert_int_equal(builds_held_hash(&builds), 0);
        builds_done(&builds);
}

static void test_what_builds(void **state) {
        Inventory inventory = INVENTORY_NULL;

        (void)state;
        assert_false(inventory_building(&inventory));
        inventory.builds.n_running = 1; /* and holds no record */
        assert_true(inventory_building(&inventory));
        inventory.builds.n_running = 0;
        strcpy(inventory.builds.unknown, "timed out");
        assert_true(inventory_building(&inventory));
        inventory.builds.unknown[0] = '\0';

        inventory.n_in_use = 2;
        assert_true(inventory_building(&inventory));
        assert_int_equal(id_set_add(&inventory.builds.leaked, "a"), 0);
        assert_true(inventory_building(&inventory));
        assert_int_equal(id_set_add(&inventory.builds.leaked, "b"), 0);
        assert_false(inventory_building(&inventory));
        inventory_done(&inventory);
}

/* What a clear of `target` names as remaining, "KIND OBJECT|" each; a plan has nothing left to do. */
static void check_remaining(Host *h, Target target, const char *wanted, const char *remedy) {
        cleanup(remaining_done) RemainingList list = { 0 };
        char text[256] = "";

        h->options.target = target;
        assert_int_equal(proof_remaining(&h->inventory, &h->config, &h->options, &h->suspects,
                                         &(ClearPlan){ 0 }, NULL, &list),
                         0);
        for (size_t i = 0; i < list.n; i++) {
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s|", list.v[i].object);
                assert_non_null(strstr(list.v[i].remedy, remedy));
        }
        assert_string_equal(text, wanted);
}

static void test_remaining(void **state) {
        Host h = host_new();
        Builds *builds = &h.inventory.builds;

        (void)state;
        check_remaining(&h, TARGET_ALL, "", "");
        builds->n_running = 1; /* and holds no record */
        check_remaining(&h, TARGET_ALL, "BuildKit|", "wait for the build to end");
        check_remaining(&h, TARGET_BUILDER, "BuildKit|", "wait for the build to end");
        check_remaining(&h, TARGET_IMAGES, "BuildKit|", "wait for the build to end");
        builds->n_running = 0;
        strcpy(builds->unknown, "no whole answer within 30 s");
        check_remaining(&h, TARGET_ALL, "BuildKit|", "clear again");
        builds->unknown[0] = '\0';

        host_record(&h, "held", RECORD_REGULAR, true, 1, NULL);
        builds->n_running = 1; /* told by its record */
        check_remaining(&h, TARGET_ALL, "held|", "wait for the build to end");
        builds->n_running = 0;
        assert_int_equal(id_set_add(&builds->leaked, "held"), 0);
        check_remaining(&h, TARGET_ALL, "held|", "systemctl restart docker");
        check_remaining(&h, TARGET_IMAGES, "", "");
        host_done(&h);
}

static void test_policy_beside_leaked(void **state) {
        Host h = host_new();
        cleanup_free char *pins = NULL;
        PolicyPlan plan;

        (void)state;
        host_record(&h, "held", RECORD_REGULAR, true, 1, NULL);
        h.inventory.in_use_private_bytes = h.inventory.private_bytes = 4000000000;
        plan = host_decide(&h);
        assert_int_equal(plan.hold, HOLD_BUILDING);
        policy_plan_done(&plan);

        assert_int_equal(id_set_add(&h.inventory.builds.leaked, "held"), 0);
        plan = host_decide(&h);
        assert_int_equal(plan.hold, HOLD_NONE);
        pins = policy_pins(&h.inventory, &plan);
        assert_string_equal(pins, "build cache in use by no build (4GB): to free it: systemctl "
                                  "restart docker");
        policy_plan_done(&plan);
        host_done(&h);
}

/* Containers of steps that were committed, of the last observation alone. */
static void test_committed(void **state) {
        BuildWatch watch = { 0 };
        IdSet first = { 0 }, second = { 0 };

        (void)state;
        assert_false(id_set_contains(&watch.committed, "a"));
        assert_int_equal(id_set_add(&first, "b"), 0);
        assert_int_equal(id_set_add(&first, "a"), 0);
        build_watch_remember_committed(&watch, &first);
        assert_true(id_set_contains(&watch.committed, "a"));
        assert_true(id_set_contains(&watch.committed, "b"));
        assert_int_equal(id_set_add(&second, "b"), 0);
        build_watch_remember_committed(&watch, &second);
        assert_false(id_set_contains(&watch.committed, "a"));
        assert_true(id_set_contains(&watch.committed, "b"));
        build_watch_done(&watch);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_leaked_with_a_history),
                cmocka_unit_test(test_no_leak_while_builds_run),
                cmocka_unit_test(test_leaked_stay_so_while_builds_run),
                cmocka_unit_test(test_leaked_without_a_history),
                cmocka_unit_test(test_since),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_held),
                cmocka_unit_test(test_what_builds),
                cmocka_unit_test(test_remaining),
                cmocka_unit_test(test_policy_beside_leaked),
                cmocka_unit_test(test_committed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
