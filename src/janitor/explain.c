/* SPDX-License-Identifier: MIT */

/* What policy would do and why, of everything or of one object; nothing is touched. */

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "docker/name.h"
#include "janitor/look.h"
#include "janitor/lru.h"

/* A reply has to stay below the server's limit. */
#define IMAGES_MAX 2000
#define RECORDS_NAMED_MAX 100
/* Fewer digits name nothing in particular. */
#define PREFIX_MIN 4
#define FOUND_NAMED_MAX 5

/* Those that go first, and the largest of each kind. */
static int compare_verdicts(const void *a, const void *b, void *userdata) {
        const size_t *x = a, *y = b;
        const Look *look = userdata;
        bool s = look->plan.images[*x].remove, t = look->plan.images[*y].remove;
        uint64_t m = look->inventory.images.v[*x].size_bytes;
        uint64_t n = look->inventory.images.v[*y].size_bytes;

        if (s != t)
                return s ? -1 : 1;
        if (m != n)
                return m > n ? -1 : 1;
        return strcmp(look->inventory.images.v[*x].id, look->inventory.images.v[*y].id);
}

static Json *images_json(Look *look) {
        cleanup(json_free) Json *array = json_new_array();
        const size_t n = look->inventory.images.n;
        cleanup_free size_t *order = calloc(n + 1, sizeof(*order));

        if (!order)
                return NULL;
        for (size_t i = 0; i < n; i++)
                order[i] = i;
        qsort_r(order, n, sizeof(*order), compare_verdicts, look);
        for (size_t i = 0; i < MIN(n, (size_t)IMAGES_MAX); i++)
                if (json_add(array, NULL, look_image_json(look, order[i])) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

/* The order of the engine's prune by size; NULL where there is none. */
static int foretell(const Look *look, uint32_t **ret_turns) {
        uint64_t bytes, private_bytes;

        if (look->plan.builder.keep_bytes == 0)
                return 0;
        return lru_predict(&look->inventory.records, look->plan.builder.keep_bytes, ret_turns,
                           &bytes, &private_bytes);
}

/* The records that go, counted, and the first of them: by age, then in BuildKit's order. */
typedef struct Going {
        size_t n;
        uint64_t bytes;
        size_t first[RECORDS_NAMED_MAX], n_first;
} Going;

static Going find_going(const Look *look, const uint32_t *turns) {
        const BuilderPlan *builder = &look->plan.builder;
        const RecordSet *records = &look->inventory.records;
        size_t by_turn[RECORDS_NAMED_MAX];
        Going going = { 0 };
        size_t n_turns = 0;

        for (size_t i = 0; i < records->n; i++) {
                bool aged = builder->unused && builder->unused[i];

                if (!aged && (!turns || turns[i] == LRU_KEPT))
                        continue;
                going.n++;
                going.bytes += records->v[i].size_bytes;
                if (aged && going.n_first < RECORDS_NAMED_MAX)
                        going.first[going.n_first++] = i;
        }
        for (size_t i = 0; i < ELEMENTSOF(by_turn); i++)
                by_turn[i] = SIZE_MAX;
        for (size_t i = 0; turns && i < records->n; i++) {
                if (turns[i] >= RECORDS_NAMED_MAX)
                        continue;
                by_turn[turns[i]] = i;
                n_turns = MAX(n_turns, (size_t)turns[i] + 1);
        }
        for (size_t i = 0; i < n_turns && going.n_first < RECORDS_NAMED_MAX; i++)
                if (by_turn[i] != SIZE_MAX && !(builder->unused && builder->unused[by_turn[i]]))
                        going.first[going.n_first++] = by_turn[i];
        return going;
}

static Json *record_json(const Look *look, const uint32_t *turns, size_t record) {
        RecordVerdict verdict;

        policy_record(&look->inventory, &look->plan, turns, &look->now, record, &verdict);
        return look_record_json(look, record, &verdict);
}

static Json *builder_json(const Look *look) {
        cleanup(json_free) Json *json = json_new_object(), *first = json_new_array();
        const BuilderPlan *builder = &look->plan.builder;
        cleanup_free uint32_t *turns = NULL;
        Going going;
        int r;

        if (!first || foretell(look, &turns) < 0)
                return NULL;
        going = find_going(look, turns);
        for (size_t i = 0; i < going.n_first; i++)
                if (json_add(first, NULL, record_json(look, turns, going.first[i])) < 0)
                        return NULL;

        r = json_add_int(json, "records", (int64_t)look->inventory.n_records);
        r |= json_add_int(json, "privateBytes", (int64_t)builder->private_bytes);
        if (builder->max_bytes != UINT64_MAX)
                r |= json_add_int(json, "maxBytes", (int64_t)builder->max_bytes);
        if (builder->keep_bytes > 0)
                r |= json_add_int(json, "keepBytes", (int64_t)builder->keep_bytes);
        if (builder->unused_hours > 0)
                r |= json_add_int(json, "unusedHours", builder->unused_hours);
        r |= json_add_string(json, "rule", rule_to_string(builder->rule));
        r |= json_add_int(json, "goes", (int64_t)going.n);
        r |= json_add_int(json, "goesBytes", (int64_t)going.bytes);
        r |= json_add(json, "first", TAKE_PTR(first));
        return r < 0 ? NULL : TAKE_PTR(json);
}

int plan_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
             Json **ret, Diag *reterr_diag) {
        cleanup(json_free) Json *json = json_new_object();
        cleanup(look_done) Look look = LOOK_NULL;
        int r;

        r = look_run(docker, config, OBSERVE_ALL, memory, around, &look, reterr_diag);
        if (r >= 0)
                r = look_refresh(docker, config, memory, around, &look, reterr_diag);
        if (r < 0)
                return r;
        r = json_add(json, "policy", look_policy_json(&look, config));
        r |= json_add(json, "images", images_json(&look));
        r |= json_add(json, "builder", builder_json(&look));
        r |= json_add(json, "disks", look_disks_json(&look, config, memory->full_sec));
        if (r < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(json);
        return 0;
}

/* What an object that was asked for may be. */
typedef struct Match {
        bool record;
        size_t i;
} Match;

typedef struct Matches {
        Match v[FOUND_NAMED_MAX];
        size_t n; /* perhaps more than are kept */
} Matches;

static void found(Matches *matches, bool record, size_t i) {
        if (matches->n < FOUND_NAMED_MAX)
                matches->v[matches->n] = (Match){ record, i };
        matches->n++;
}

static bool find_name(const ImageSet *images, const char *name, Matches *matches) {
        for (size_t i = 0; i < images->n; i++)
                if (strv_contains(&images->v[i].names, name) ||
                    strv_contains(&images->v[i].digests, name))
                        found(matches, false, i);
        return matches->n > 0;
}

/* Of what an image id says behind the name of its hash. */
static bool is_image_id(const Image *image, const char *digits) {
        const char *hex = strchr(image->id, ':');

        return strncmp(hex ? hex + 1 : image->id, digits, strlen(digits)) == 0;
}

/* A name goes before an id, as with docker's own commands. */
static int find_object(const Inventory *inventory, const char *object, Matches *ret) {
        cleanup_free char *latest = NULL;
        const char *digits = strncmp(object, "sha256:", strlen("sha256:")) == 0
                                     ? object + strlen("sha256:")
                                     : object;

        if (find_name(&inventory->images, object, ret))
                return 0;
        if (asprintf(&latest, "%s:latest", object) < 0)
                return -ENOMEM;
        if (find_name(&inventory->images, latest, ret) || strlen(digits) < PREFIX_MIN)
                return 0;
        for (size_t i = 0; i < inventory->images.n; i++)
                if (is_image_id(&inventory->images.v[i], digits))
                        found(ret, false, i);
        for (size_t i = 0; i < inventory->records.n; i++)
                if (strncmp(inventory->records.v[i].id, object, strlen(object)) == 0)
                        found(ret, true, i);
        return 0;
}

static int several(const Inventory *inventory, const char *object, const Matches *matches,
                   Diag *reterr_diag) {
        cleanup(strv_done) Strv list = STRV_NULL;
        cleanup_free char *text = NULL;
        int r = 0;

        for (size_t i = 0; i < MIN(matches->n, (size_t)FOUND_NAMED_MAX) && r >= 0; i++) {
                const Match *match = &matches->v[i];
                char name[96];

                if (match->record)
                        snprintf(name, sizeof(name), "build cache record %s",
                                 inventory->records.v[match->i].id);
                else
                        snprintf(name, sizeof(name), "image %s", inventory->images.v[match->i].id);
                r = strv_add(&list, name);
        }
        text = r < 0 ? NULL : strv_join(&list, ", ");
        if (!text)
                return -ENOMEM;
        return diag_set(reterr_diag, -ENOTUNIQ, "%zu objects begin with %s: %s%s", matches->n,
                        object, text, matches->n > FOUND_NAMED_MAX ? ", ..." : "");
}

int explain_run(Docker *docker, const Config *config, Memory *memory, const Surroundings *around,
                const char *object, Json **ret, Diag *reterr_diag) {
        cleanup(look_done) Look look = LOOK_NULL;
        cleanup_free uint32_t *turns = NULL;
        Matches matches = { 0 };
        int r;

        r = look_run(docker, config, OBSERVE_ALL, memory, around, &look, reterr_diag);
        if (r >= 0)
                r = look_refresh(docker, config, memory, around, &look, reterr_diag);
        if (r >= 0)
                r = find_object(&look.inventory, object, &matches);
        if (r < 0)
                return r;
        if (matches.n == 0)
                return diag_set(reterr_diag, -ENOENT,
                                "no image and no build cache record is called that");
        if (matches.n > 1)
                return several(&look.inventory, object, &matches, reterr_diag);
        if (!matches.v[0].record) {
                *ret = look_image_json(&look, matches.v[0].i);
        } else {
                r = foretell(&look, &turns);
                if (r < 0)
                        return r;
                *ret = record_json(&look, turns, matches.v[0].i);
        }
        return *ret ? 0 : -ENOMEM;
}
