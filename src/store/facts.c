/* SPDX-License-Identifier: MIT */

/*
 * A list of hashes is stored as text of 16 hex digits each. The trap is a new file in place of the
 * one that facts were read from: what is not dirty is missing there. Those images are inspected again
 * in a later run; only images of ours that are gone are forgotten by that.
 */

#include "store/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "docker/name.h"
#include "store/sql.h"

#define HASH_DIGITS 16

int hash_list_add(HashList *list, uint64_t hash) {
        uint64_t *v;

        if (list->n == HASHES_MAX)
                return 0;
        if ((list->n & (list->n - 1)) == 0) { /* room doubles at each power of two */
                v = reallocarray(list->v, list->n > 0 ? 2 * list->n : 1, sizeof(*v));
                if (!v)
                        return -ENOMEM;
                list->v = v;
        }
        list->v[list->n++] = hash;
        return 0;
}

bool hash_list_contains(const HashList *list, uint64_t hash) {
        for (size_t i = 0; i < list->n; i++)
                if (list->v[i] == hash)
                        return true;
        return false;
}

void hash_list_done(HashList *list) {
        free(list->v);
        *list = (HashList){ 0 };
}

uint64_t hash_prefix(uint64_t prefix, uint64_t element_hash) {
        /* The splitmix64 finalizer, so that order counts. */
        uint64_t hash = prefix + element_hash + UINT64_C(0x9e3779b97f4a7c15);

        hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
        return hash ^ (hash >> 31);
}

int prefixes_add(HashList *prefixes, uint64_t element_hash) {
        uint64_t hash = prefixes->n > 0 ? prefixes->v[prefixes->n - 1] : 0;

        return hash_list_add(prefixes, hash_prefix(hash, element_hash));
}

static void image_facts_done(ImageFacts *facts) {
        hash_list_done(&facts->layers);
        hash_list_done(&facts->steps);
        hash_list_done(&facts->classic_steps);
        hash_list_done(&facts->bases);
        hash_list_done(&facts->stages);
        hash_list_done(&facts->names);
        hash_list_done(&facts->needs);
}

ImageFacts *fact_set_add(FactSet *facts, const char *id) {
        ImageFacts *entry;

        if (strlen(id) >= IMAGE_ID_MAX || array_grow(facts->v, facts->n, facts->size) < 0)
                return NULL;
        facts->indexed = false;
        entry = &facts->v[facts->n++];
        *entry = (ImageFacts){ .kind = IMAGE_KIND_OTHER,
                               .n_history = FACTS_NO_HISTORY,
                               .dirty = true };
        strcpy(entry->id, id);
        return entry;
}

/* Unless it is there, or the list has no room. */
static int add_hash(ImageFacts *facts, HashList *list, size_t max, uint64_t hash) {
        int r;

        if (list->n == max || hash_list_contains(list, hash))
                return 0;
        r = hash_list_add(list, hash);
        facts->dirty |= r >= 0;
        return r;
}

int facts_add_repository(ImageFacts *facts, const char *name) {
        return add_hash(facts, &facts->names, FACTS_NAMES_MAX, name_repository_hash(name));
}

int facts_add_name(ImageFacts *facts, const char *name) {
        int r;

        r = add_hash(facts, &facts->names, FACTS_NAMES_MAX, text_hash(name));
        return r < 0 ? r : facts_add_repository(facts, name);
}

int facts_add_release(ImageFacts *facts, const char *name) {
        uint64_t hash;
        int r = name_release_hash(name, &hash);

        return r < 0 ? r : add_hash(facts, &facts->names, FACTS_NAMES_MAX, hash);
}

int facts_add_need(ImageFacts *facts, const char *name) {
        return add_hash(facts, &facts->needs, FACTS_NEEDS_MAX, text_hash(name));
}

int facts_add_needed_repository(ImageFacts *facts, const char *name) {
        return add_hash(facts, &facts->needs, FACTS_NEEDS_MAX, name_repository_hash(name));
}

uint64_t possible_need_hash(const char *name) {
        return hash_prefix(1, text_hash(name));
}

int facts_add_possible_need(ImageFacts *facts, const char *name) {
        return add_hash(facts, &facts->needs, FACTS_NEEDS_MAX, possible_need_hash(name));
}

uint64_t facts_all_layers(const ImageFacts *facts) {
        return facts->layers.v[facts->layers.n - 1];
}

uint64_t facts_whole_history(const ImageFacts *facts) {
        uint64_t steps = 0;

        for (size_t i = 0; i < facts->steps.n; i++)
                steps = hash_prefix(steps, facts->steps.v[i]);
        return steps;
}

uint64_t facts_layers_and_history(const ImageFacts *facts) {
        return hash_prefix(facts_all_layers(facts), facts_whole_history(facts));
}

int fact_set_index(FactSet *facts) {
        facts->indexed = false;
        index_done(&facts->by_id);
        for (size_t i = 0; i < facts->n; i++)
                if (index_add(&facts->by_id, facts->v[i].id, i) < 0)
                        return -ENOMEM;
        index_sort(&facts->by_id);
        facts->indexed = true;
        return 0;
}

ImageFacts *fact_set_find(const FactSet *facts, const char *id) {
        if (facts->indexed) {
                const IndexEntry *entry = index_find(&facts->by_id, id, NULL);

                return entry ? &facts->v[entry->at] : NULL;
        }
        for (size_t i = 0; i < facts->n; i++)
                if (strcmp(facts->v[i].id, id) == 0)
                        return &facts->v[i];
        return NULL;
}

void fact_set_done(FactSet *facts) {
        for (size_t i = 0; i < facts->n; i++)
                image_facts_done(&facts->v[i]);
        free(facts->v);
        index_done(&facts->by_id);
        *facts = (FactSet){ 0 };
}

static char *hash_list_text(const HashList *list) {
        char *text = calloc(list->n * HASH_DIGITS + 1, 1);

        for (size_t i = 0; text && i < list->n; i++)
                snprintf(text + i * HASH_DIGITS, HASH_DIGITS + 1, "%016" PRIx64, list->v[i]);
        return text;
}

/* sscanf(3) would take most of the time that reading all facts takes. */
static bool hash_from_text(const char *text, uint64_t *ret) {
        uint64_t hash = 0;

        for (size_t i = 0; i < HASH_DIGITS; i++) {
                char c = text[i];

                if (c >= '0' && c <= '9')
                        hash = hash << 4 | (uint64_t)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        hash = hash << 4 | (uint64_t)(c - 'a' + 10);
                else
                        return false;
        }
        *ret = hash;
        return true;
}

/* What is not such a text, in a file that somebody changed, is no list. */
static int hash_list_from_text(const char *text, size_t n, HashList *ret) {
        cleanup(hash_list_done) HashList list = { 0 };
        const size_t n_hashes = n / HASH_DIGITS;

        if (n_hashes > HASHES_MAX || n % HASH_DIGITS != 0)
                return 0;
        for (size_t i = 0; i < n_hashes; i++) {
                uint64_t hash;

                if (!hash_from_text(text + i * HASH_DIGITS, &hash))
                        return 0;
                if (hash_list_add(&list, hash) < 0)
                        return -ENOMEM;
        }
        *ret = list;
        list = (HashList){ 0 };
        return 0;
}

static int read_hash_list(Statement *row, int column, HashList *ret) {
        const char *text = column_borrow(row, column);

        return text ? hash_list_from_text(text, column_length(row, column), ret) : -ENOMEM;
}

static int facts_of_row(Statement *row, FactSet *facts) {
        char id[IMAGE_ID_MAX];
        ImageFacts *entry;
        int r;

        r = column_text(row, 0, id, sizeof(id));
        if (r < 0)
                return r;
        entry = fact_set_add(facts, id);
        if (!entry)
                return -ENOMEM;
        entry->dirty = false;
        entry->kind = (ImageKind)MIN(column_uint(row, 1), (uint64_t)IMAGE_KIND_MAX - 1);
        entry->inline_cache = (InlineCache)MIN(column_uint(row, 2), (uint64_t)INLINE_CACHE_YES);
        entry->ours = column_int(row, 3);
        entry->n_history = column_int(row, 4);
        entry->n_base = column_uint(row, 5);
        entry->names_hash = column_uint(row, 6);
        entry->made_amid_ours = (AmidOurs)MIN(column_uint(row, 7), (uint64_t)AMID_OURS_MAX - 1);
        entry->tagged_here = column_int(row, 8);
        entry->project_hash = column_uint(row, 9);
        entry->amid_hash = column_uint(row, 15);
        entry->step = (ImageStep)MIN(column_uint(row, 16), (uint64_t)STEP_MAX - 1);
        entry->bore_name = column_int(row, 17);
        entry->created_nsec = column_int(row, 18);
        entry->of_others = column_int(row, 21);
        entry->commit = (Commit)MIN(column_uint(row, 22), (uint64_t)COMMIT_MAX - 1);
        r = read_hash_list(row, 10, &entry->layers);
        if (r >= 0)
                r = read_hash_list(row, 11, &entry->steps);
        if (r >= 0)
                r = read_hash_list(row, 12, &entry->bases);
        if (r >= 0)
                r = read_hash_list(row, 13, &entry->stages);
        if (r >= 0)
                r = read_hash_list(row, 14, &entry->names);
        if (r >= 0)
                r = read_hash_list(row, 19, &entry->needs);
        return r < 0 ? r : read_hash_list(row, 20, &entry->classic_steps);
}

static int read_facts(Store *store, FactSet *ret, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        cleanup(fact_set_done) FactSet facts = { 0 };
        int r;

        r = sql_query(
                store,
                "SELECT id, kind, inline_cache, ours, n_history, n_base, names_hash,"
                " made_amid_ours, tagged_here, project_hash, layers, steps, bases, stages, names,"
                " amid_hash, step, bore_name, created_nsec, needs, classic_steps, of_others, committed"
                " FROM image_facts",
                NO_VALUES, &statement, reterr_diag);
        while (r >= 0 && (r = sql_step(store, statement, reterr_diag)) > 0)
                r = facts_of_row(statement, &facts);
        if (r >= 0)
                r = fact_set_index(&facts);
        if (r < 0)
                return r;
        *ret = facts;
        facts = (FactSet){ 0 };
        return 0;
}

int store_read_facts(Store *store, FactSet *ret, Diag *reterr_diag) {
        return guarded(store, reterr_diag, read_facts(store, ret, reterr_diag));
}

static int write_image_facts(Store *store, Statement *statement, const ImageFacts *facts,
                             Diag *reterr_diag) {
        cleanup_free char *layers = hash_list_text(&facts->layers);
        cleanup_free char *steps = hash_list_text(&facts->steps);
        cleanup_free char *bases = hash_list_text(&facts->bases);
        cleanup_free char *stages = hash_list_text(&facts->stages);
        cleanup_free char *names = hash_list_text(&facts->names);
        cleanup_free char *needs = hash_list_text(&facts->needs);
        cleanup_free char *classic_steps = hash_list_text(&facts->classic_steps);
        int r;

        if (!layers || !steps || !bases || !stages || !names || !needs || !classic_steps)
                return -ENOMEM;
        r = sql_bind(store, statement,
                     VALUES(TEXT(facts->id), INT(facts->kind), INT(facts->inline_cache),
                            INT(facts->ours), INT(facts->n_history), INT(facts->n_base),
                            INT(facts->names_hash), INT(facts->made_amid_ours),
                            INT(facts->tagged_here), INT(facts->project_hash), TEXT(layers),
                            TEXT(steps), TEXT(bases), TEXT(stages), TEXT(names),
                            INT(facts->amid_hash), INT(facts->step), INT(facts->bore_name),
                            INT(facts->created_nsec), TEXT(needs), TEXT(classic_steps),
                            INT(facts->of_others), INT(facts->commit)),
                     reterr_diag);
        return r < 0 ? r : sql_step(store, statement, reterr_diag);
}

/* `n` grows with every write. The oldest of ours do not count as ours, so that images of others that are
 * here are never all forgotten. */
static int trim(Store *store, Diag *reterr_diag) {
        return sql_execute(
                store,
                "DELETE FROM image_facts WHERE n IN (SELECT n FROM image_facts ORDER BY"
                " ours AND n > coalesce((SELECT n FROM image_facts WHERE ours ORDER BY n DESC"
                " LIMIT 1 OFFSET ?), 0), n"
                " LIMIT max(0, (SELECT count(*) FROM image_facts) - ?))",
                VALUES(INT(FACTS_OURS_KEPT), INT(FACTS_KEPT)), reterr_diag);
}

static int write_facts(Store *store, const FactSet *facts, Diag *reterr_diag) {
        cleanup(statement_free) Statement *statement = NULL;
        int r;

        r = sql_script(store, "BEGIN IMMEDIATE", reterr_diag);
        if (r >= 0)
                r = sql_query(
                        store,
                        "REPLACE INTO image_facts (id, kind, inline_cache, ours,"
                        " n_history, n_base, names_hash, made_amid_ours, tagged_here,"
                        " project_hash, layers, steps, bases, stages, names, amid_hash,"
                        " step, bore_name, created_nsec, needs, classic_steps, of_others,"
                        " committed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                        " ?, ?, ?, ?, ?, ?)",
                        NO_VALUES, &statement, reterr_diag);
        for (size_t i = 0; i < facts->n && r >= 0; i++)
                if (facts->v[i].dirty)
                        r = write_image_facts(store, statement, &facts->v[i], reterr_diag);
        if (r >= 0)
                r = trim(store, reterr_diag);
        return r < 0 ? r : sql_script(store, "COMMIT", reterr_diag);
}

int store_write_facts(Store *store, FactSet *facts, Diag *reterr_diag) {
        bool dirty = false;
        int r;

        for (size_t i = 0; i < facts->n; i++)
                dirty |= facts->v[i].dirty;
        if (!dirty)
                return 0;
        r = guarded(store, reterr_diag, write_facts(store, facts, reterr_diag));
        for (size_t i = 0; i < facts->n && r >= 0; i++)
                facts->v[i].dirty = false;
        return r;
}
