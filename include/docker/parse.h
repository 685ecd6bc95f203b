/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The engine's answers to the model. Internal to docker/, exposed for tests and fuzzing.
 *
 * Each takes one JSON value as text[0..n). Absent and null members are defaults, unknown ones are
 * passed over; a member of the wrong kind, a negative size, an id that is missing or too long are
 * -EBADMSG. The rest is -ENOMEM. Outputs are written on success only. Texts from the engine are best
 * reduced by docker/records.h before, since JSON is refused as a whole for what is wrong in any of it.
 */

#include <sys/types.h>

#include "base/diag.h"
#include "docker/records.h"
#include "docker/watch.h"
#include "wire/json.h"

/* RFC 3339 as Go prints it, "2026-11-20T12:10:55.842172277Z" or with an offset; seconds since
 * 1970, 0 for anything earlier (Go's zero time is in the year 1). -EBADMSG for anything else. */
int parse_time(const char *text, size_t n, int64_t *ret_sec) must_check;
/* The same in nanoseconds: BuildKit ranks records by them. At most INT64_MAX, in the year 2262. */
int parse_time_nsec(const char *text, size_t n, int64_t *ret_nsec) must_check;

/* The members that a parser reads, each list ended by NULL, for RecordsWant.keep. */
extern const char *const parse_record_members[];
extern const char *const parse_image_members[];
extern const char *const parse_image_detail_members[];
extern const char *const parse_history_members[];
extern const char *const parse_container_members[];
extern const char *const parse_container_detail_members[];
extern const char *const parse_volume_members[];
extern const char *const parse_info_members[];
extern const char *const parse_version_members[];
extern const char *const parse_event_members[];

/* Room for the name of an object that could not be read. */
#define PARSE_OBJECT_MAX 80

/* diag_set() for an answer that can't be read, and the error. -ENOMEM sets nothing: it says nothing of the
 * answer. */
#define parse_failed(diag, error, ...)                                                  \
        ({                                                                              \
                int _failure = (error);                                                 \
                _failure == -ENOMEM ? _failure : diag_set(diag, _failure, __VA_ARGS__); \
        })

/* One JSON object, with what an engine may send beside JSON proper; the caller frees it. -EBADMSG
 * for anything else, -ENOMEM. */
int parse_json_object(const char *text, size_t n, Json **ret) must_check;

/* What to call an element that its parser refused: the string `member`, fit for a person and cut to
 * its room, or "number 3 of the list" where not even that can be read. */
void parse_object(const char *text, size_t n, const char *member, uint64_t number,
                  char ret[static PARSE_OBJECT_MAX]);

/* One element of BuildCache; hands it to `add` and passes its errors through. */
int parse_record(const char *text, size_t n, DockerRecord add, void *userdata,
                 Diag *reterr_diag) must_check;

/*
 * The same for a record in the very form that engines print, at several times the speed:
 * text[0..n) begins with an element and may go on past it. Returns the element's length, having
 * handed it over; 0 where it is not whole or not of that form, and parse_record() decides; or an
 * error of `add`.
 */
ssize_t parse_record_plain(const char *text, size_t n, DockerRecord add, void *userdata) must_check;

int parse_image(const char *text, size_t n, Image *ret, Diag *reterr_diag) must_check;
int parse_image_detail(const char *text, size_t n, ImageDetail *ret, Diag *reterr_diag) must_check;

/* One element of an image's history; hands it to `add` and passes its errors through. */
int parse_history_entry(const char *text, size_t n, DockerHistory add, void *userdata,
                        Diag *reterr_diag) must_check;

int parse_container(const char *text, size_t n, Container *ret, Diag *reterr_diag) must_check;
int parse_container_detail(const char *text, size_t n, ContainerDetail *ret,
                           Diag *reterr_diag) must_check;

/* One element of Volumes, of any driver; see Volume. */
int parse_volume(const char *text, size_t n, Volume *ret, Diag *reterr_diag) must_check;

/* Of /info: version, store, driver, root; what was agreed on is the caller's to fill in. */
int parse_info(const char *text, size_t n, EngineInfo *ret, Diag *reterr_diag) must_check;

/* "1.41". -EBADMSG. */
int parse_api_version(const char *text, unsigned *ret_major, unsigned *ret_minor) must_check;

/* The answer of /version: whether Podman answers in Docker's place. */
int parse_version(const char *text, size_t n, bool *ret_podman) must_check;

/* The answer of a build prune: how many ids of deleted records it has. */
int parse_pruned(const char *text, size_t n, size_t *ret_n, uint64_t *ret_bytes,
                 Diag *reterr_diag) must_check;

/* The answer of DELETE /images: how many it says are "Deleted". */
int parse_deleted(const char *text, size_t n, size_t *ret_n, Diag *reterr_diag) must_check;

/*
 * One event; hands it to `sink` and passes its errors through. One of a type or an action that
 * docker_watch() does not ask for is passed over.
 */
int parse_event(const char *text, size_t n, DockerEventSink sink, void *userdata,
                Diag *reterr_diag) must_check;

/* A reader of a stream of events, for records_feed() and in the end records_free(). Of an event at
 * most EVENT_MAX bytes are held: a name that is longer is left out. */
#define EVENT_MAX (64U * 1024U)

typedef struct EventReader {
        DockerEventSink sink;
        void *userdata;
} EventReader;

/* `reader` is borrowed as long as the Records live. */
int event_reader_new(EventReader *reader, Records **ret) must_check;

/* What an error's body says: its "message", or its text. */
void parse_message(const char *body, char *ret, size_t size);
