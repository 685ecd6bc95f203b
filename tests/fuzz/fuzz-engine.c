/* SPDX-License-Identifier: MIT */

/*
 * Bytes as each of the engine's answers in turn. What is taken keeps the model's limits; the fast
 * reader of records agrees with the slow one; disk usage reads the same in any pieces.
 */

#undef NDEBUG
#include <assert.h>
#include <string.h>

#include "docker/parse.h"
#include "docker/records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_id(const char *id, size_t size) {
        assert(*id && strnlen(id, size) < size);
}

static int add(void *userdata, const BuildRecord *record, const char *const *parents,
               size_t n_parents) {
        check_id(record->id, sizeof(record->id));
        assert(record->last_used_nsec >= -1 && record->type < RECORD_TYPE_MAX);
        for (size_t i = 0; i < n_parents; i++)
                check_id(parents[i], RECORD_ID_MAX);
        return record_set_add(userdata, record, parents, n_parents);
}

static void check_equal(const RecordSet *a, const RecordSet *b) {
        assert(a->n == b->n && a->n_parents == b->n_parents);
        for (size_t i = 0; i < a->n; i++) {
                const BuildRecord *x = &a->v[i], *y = &b->v[i];

                assert(strcmp(x->id, y->id) == 0);
                assert(x->size_bytes == y->size_bytes && x->usage_count == y->usage_count);
                assert(x->last_used_nsec == y->last_used_nsec);
                assert(x->parents == y->parents && x->n_parents == y->n_parents);
                assert(x->type == y->type && x->in_use == y->in_use && x->shared == y->shared &&
                       x->source == y->source && x->local_image == y->local_image);
        }
        for (size_t i = 0; i < a->n_parents; i++)
                assert(strcmp(a->parents[i], b->parents[i]) == 0);
}

static void try_record(const char *text, size_t n) {
        RecordSet plain = RECORD_SET_NULL, slow = RECORD_SET_NULL;
        ssize_t taken;

        taken = parse_record_plain(text, n, add, &plain);
        assert(taken >= 0 && (size_t)taken <= n && plain.n == (taken > 0));
        if (taken > 0 && parse_record(text, (size_t)taken, add, &slow, NULL) < 0) {
                bool odd = false;

                /* The one liberty of the fast one: it does not look into descriptions. */
                for (ssize_t i = 0; i < taken; i++)
                        odd |= (signed char)text[i] < ' ' || text[i] == '\\';
                assert(odd);
        } else {
                check_equal(&plain, &slow);
        }
        record_set_done(&plain);
        record_set_done(&slow);

        (void)!parse_record(text, n, add, &slow, NULL);
        record_set_done(&slow);
}

static int on_record(void *userdata, const char *text, size_t n, const char *defect,
                     Diag *reterr_diag) {
        int r = defect ? -EBADMSG : parse_record(text, n, add, userdata, reterr_diag);

        return r == -EBADMSG ? 0 : r; /* it is named, and the list goes on */
}

static ssize_t on_record_plain(void *userdata, const char *text, size_t n, Diag *reterr_diag) {
        (void)reterr_diag;
        return parse_record_plain(text, n, add, userdata);
}

static int try_usage(const char *text, size_t n, size_t step, RecordSet *ret) {
        static const char *const paths[] = { "BuildCache", "BuildCacheUsage.Items", NULL };
        const RecordsWant want = { paths, parse_record_members, RECORDS_ELEMENT_MAX };
        cleanup(records_free) Records *records = NULL;
        int r;

        r = records_new(&want, on_record, on_record_plain, ret, &records);
        assert(r == 0);
        for (size_t at = 0; at < n && r == 0; at += step)
                r = records_feed(records, text + at, MIN(step, n - at), NULL);
        return r == 0 ? records_finish(records, NULL) : r;
}

static void try_usages(const char *text, size_t n) {
        RecordSet whole = RECORD_SET_NULL, pieces = RECORD_SET_NULL;
        int r = try_usage(text, n, n + 1, &whole);

        for (size_t step = 1; step < 1000; step = step * 5 + 2) {
                assert(try_usage(text, n, step, &pieces) == r);
                check_equal(&whole, &pieces);
                record_set_done(&pieces);
        }
        record_set_done(&whole);
}

static int check_entry(void *userdata, const char *created_by, const char *comment) {
        (void)userdata;
        assert(created_by && comment);
        return 0;
}

static void try_objects(const char *text, size_t n) {
        ContainerDetail container_detail;
        ImageDetail image_detail;
        Container container;
        EngineInfo info;
        Volume volume;
        Image image;
        bool podman;
        Diag diag;

        if (parse_image(text, n, &image, &diag) == 0) {
                check_id(image.id, sizeof(image.id));
                assert(image.created_sec >= 0);
                image_done(&image);
        }
        if (parse_image_detail(text, n, &image_detail, &diag) == 0) {
                check_id(image_detail.id, sizeof(image_detail.id));
                assert(image_detail.comment && image_detail.docker_version);
                assert(image_detail.created_sec >= 0 && image_detail.last_tagged_sec >= 0);
                image_detail_done(&image_detail);
        }
        (void)!parse_history_entry(text, n, check_entry, NULL, &diag);
        if (parse_container(text, n, &container, &diag) == 0) {
                check_id(container.id, sizeof(container.id));
                assert(*container.name && container.image && container.state);
                assert(container.created_sec >= 0);
                for (size_t i = 0; i < container.n_mounts; i++) {
                        const Mount *mount = &container.mounts[i];

                        assert(mount->source && mount->destination);
                        assert(mount->volume ? *mount->volume : *mount->source == '/');
                }
                container_done(&container);
        }
        if (parse_container_detail(text, n, &container_detail, &diag) == 0) {
                assert(container_detail.config_image && container_detail.status);
                assert(container_detail.finished_sec >= 0);
                container_detail_done(&container_detail);
        }
        if (parse_volume(text, n, &volume, &diag) == 0) {
                assert(*volume.name && (!volume.device || *volume.device == '/'));
                volume_done(&volume);
        }
        (void)!parse_version(text, n, &podman);
        if (parse_info(text, n, &info, &diag) == 0) {
                assert(info.root_dir && *info.root_dir == '/');
                engine_info_done(&info);
        }
}

/* What an object that can't be read is called is fit for a person, and in bounds. */
static void try_name(const char *text, size_t n) {
        char object[PARSE_OBJECT_MAX];

        parse_object(text, n, "Id", 3, object);
        assert(*object && strnlen(object, sizeof(object)) < sizeof(object));
        for (const char *p = object; *p; p++)
                assert((unsigned char)*p >= ' ' && *p != 0x7f);
}

static void try_rest(char *text, size_t n) {
        char message[64];
        unsigned major, minor;
        uint64_t bytes;
        size_t count;
        int64_t sec;

        if (parse_time(text, n, &sec) == 0)
                assert(n >= 20 && sec >= 0);
        if (parse_deleted(text, n, &count, NULL) == 0)
                assert(count <= n);

        text[n] = '\0';
        parse_message(text, message, sizeof(message));
        assert(strlen(message) < sizeof(message));
        if (parse_api_version(text, &major, &minor) == 0)
                assert(major < 10000 && minor < 10000);

        if (parse_pruned(text, n, &count, &bytes, NULL) == 0)
                assert(count <= n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *text = (const char *)data;
        cleanup_free char *copy = malloc(n + 1);

        assert(copy);
        memcpy(copy, data, n);

        try_record(text, n);
        try_usages(text, n);
        try_objects(text, n);
        try_name(text, n);
        try_rest(copy, n);
        return 0;
}
