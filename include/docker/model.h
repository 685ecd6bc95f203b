/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the engine tells, as plain values. Sets own everything in them; a set is empty after
 * *_done() and usable again. Nothing here talks to anybody.
 */

#include "base/index.h"
#include "base/strv.h"

#define IMAGE_ID_MAX 72     /* "sha256:" and 64 hex digits, and NUL */
#define CONTAINER_ID_MAX 65 /* 64 hex digits and NUL */
#define RECORD_ID_MAX 28    /* BuildKit's are 25 characters */

/* Types of build cache records; BuildKit client.UsageRecordType* */
typedef enum RecordType {
        RECORD_REGULAR,
        RECORD_SOURCE_LOCAL,
        RECORD_SOURCE_GIT,
        RECORD_CACHE_MOUNT,
        RECORD_FRONTEND,
        RECORD_INTERNAL,
        RECORD_OTHER, /* one this program does not know */
        RECORD_TYPE_MAX
} RecordType;

/* The engine's word for it ("exec.cachemount"); NULL for RECORD_OTHER. */
const char *record_type_to_string(RecordType type);
RecordType record_type_from_string(const char *text);

/* One build cache record. Kept small: an engine may hold a hundred thousand. */
typedef struct BuildRecord {
        char id[RECORD_ID_MAX];
        uint32_t usage_count; /* saturates */
        uint64_t size_bytes;
        int64_t last_used_nsec; /* since 1970; -1: null, which is old to BuildKit's prune filters */
        uint32_t parents;       /* index of the first in RecordSet.parents */
        uint16_t n_parents;
        uint8_t type; /* RecordType */
        bool in_use : 1;
        bool shared : 1;
        bool source : 1; /* what a build read its Dockerfile from: a directory of the client's, what
                          * came through a pipe, a git checkout or a download */
        /* A layer of an image of this engine that a FROM or COPY --from of a build named; its parent is the
         * layer below. On the graphdriver store alone (builder-next, containerimage/pull.go); which image
         * it was is not told: "from local " and no name (seen on 20.10 and 28.5). */
        bool local_image : 1;
} BuildRecord;

typedef struct RecordSet {
        BuildRecord *v;
        size_t n, size;
        char (*parents)[RECORD_ID_MAX];
        size_t n_parents, size_parents;
} RecordSet;

#define RECORD_SET_NULL ((RecordSet){ NULL })

/* Adds a copy. `parents` are added with it; record->parents and n_parents are set here. */
int record_set_add(RecordSet *set, const BuildRecord *record, const char *const *parents,
                   size_t n_parents) must_check;
void record_set_done(RecordSet *set);
static inline void record_set_donep(RecordSet *set) {
        record_set_done(set);
}

/* An object that the engine lists in a form that cannot be read. */
typedef struct Unreadable {
        char *object; /* its id, or "number 3 of the list" where not even that is readable */
        char *reason;
} Unreadable;

/* What is known to be missing from a list. */
typedef struct UnreadableSet {
        Unreadable *v; /* the first UNREADABLE_NAMED_MAX of them */
        size_t n_named, size;
        size_t n; /* all of them */
} UnreadableSet;

#define UNREADABLE_NAMED_MAX 100

/* Copies the texts. 0 or -ENOMEM. */
int unreadable_add(UnreadableSet *set, const char *object, const char *reason) must_check;
bool unreadable_contains(const UnreadableSet *set, const char *object);
void unreadable_done(UnreadableSet *set);

static inline void unreadable_donep(UnreadableSet *set) {
        unreadable_done(set);
}

/* One image, as the list tells. */
typedef struct Image {
        char id[IMAGE_ID_MAX];
        char parent_id[IMAGE_ID_MAX]; /* "" unless the classic builder or commit made it */
        Strv names;                   /* "repo:tag", without the engine's "<none>:<none>" */
        Strv digests;                 /* "repo@sha256:…", without "<none>@<none>" */
        int64_t created_sec;
        int64_t created_nsec; /* the list tells seconds: filled in where inspect was asked, else 0 */
        bool may_be_stage;    /* filled in by stages_observe(): see there */
        uint64_t size_bytes;
        char *project; /* label com.docker.compose.project, or NULL */
        char *former; /* filled in by origins_observe(): a name that it got and lost unseen, or NULL */
} Image;

typedef struct ImageSet {
        Image *v;
        size_t n, size;
        UnreadableSet unreadable; /* the list has these as well */
        bool indexed;             /* the three are in step with `v` */
        Index by_id, by_name, by_parent;
} ImageSet;

/* Moves `image` in and leaves it empty; on failure it stays the caller's. */
int image_set_add(ImageSet *set, Image *image) must_check;
/* Makes the look-ups below fast; to be called again after a change. Without it they scan the set. */
int image_set_index(ImageSet *set) must_check;
const Image *image_set_find(const ImageSet *set, const char *id);
/* The image that bears this name, or NULL. */
const Image *image_set_find_name(const ImageSet *set, const char *name);
/* Whether `id` is the parent of an image in the set. */
bool image_set_has_children(const ImageSet *set, const char *id);
/* Whether `id` is the parent of an image in the set that was made at or after a time. */
bool image_set_has_child_since(const ImageSet *set, const char *id, int64_t sec);
void image_done(Image *image);
void image_set_done(ImageSet *set);
static inline void image_set_donep(ImageSet *set) {
        image_set_done(set);
}

static inline void image_donep(Image *image) {
        image_done(image);
}

/* A name of an image, and the image. */
typedef struct NamedImage {
        char *name;
        char id[IMAGE_ID_MAX];
        bool deleted; /* of a name that a clear takes: the image goes with it and cannot come back */
        bool never_run; /* of such a name: no container was ever seen of an image of its repository */
} NamedImage;

typedef struct NamedImages {
        NamedImage *v;
        size_t n, size;
        bool prepared; /* the two are in step with `v` */
        Index by_name, by_id;
} NamedImages;

int named_images_add(NamedImages *list, const char *name, const char *id) must_check;
/* Adds each pair of `from` that is not in the list yet; `deleted` and `never_run` count in either. N
 * log N. No pair may be twice in `from`. After -ENOMEM a part of them is added. */
int named_images_merge(NamedImages *list, const NamedImages *from) must_check;
/* Indexes the list by name, for named_images_find_pair(). */
int named_images_index(const NamedImages *list, Index *ret) must_check;
/* The entry of this name and id, or NULL. Entries that were added after the index are not found. */
NamedImage *named_images_find_pair(const NamedImages *list, const Index *index, const char *name,
                                   const char *id);
/* Makes the look-ups below fast; to be called again after an addition. Without it they scan the list. */
int named_images_prepare(NamedImages *list) must_check;
/* The first entry of this name, or NULL. */
const NamedImage *named_images_find(const NamedImages *list, const char *name);
bool named_images_contain_id(const NamedImages *list, const char *id);
void named_images_done(NamedImages *list);

/* More about an image, from inspect. */
typedef struct ImageDetail {
        char id[IMAGE_ID_MAX];
        char parent_id[IMAGE_ID_MAX];
        char *comment;        /* "buildkit.dockerfile.v0" on what BuildKit built, or "" */
        char *docker_version; /* set by the classic builder and commit, or "" */
        Strv names;
        char *command; /* Config.Cmd, its words joined by blanks, or "" */
        Strv layers;   /* RootFS.Layers: digests of the layers' content, the lowest first */
        int64_t created_sec;
        int64_t created_nsec;
        int64_t last_tagged_sec;  /* Metadata.LastTagTime; 0: never or not told */
        int64_t last_tagged_nsec; /* the same, exactly */
} ImageDetail;

void image_detail_done(ImageDetail *detail);

static inline void image_detail_donep(ImageDetail *detail) {
        image_detail_done(detail);
}

/*
 * What a container has mounted: a bind of a path of the host, or a volume. Read in moby's source and
 * seen on engines 20.10 and 28.5 (GetMountPoints() over what is on disk):
 *  - the list has both, of containers that do not run too, in no order; images are told apart
 *    (docker/image-mounts.h), other types are passed over
 *  - a bind's path is absolute and cleaned, but a symlink in it stays: compare what paths lead to
 *  - a volume of an image's VOLUME or of `-v /PATH` has no source in the list, unlike in inspect
 *  - of a volume that is itself a bind the source is Docker's own directory: see Volume
 */
typedef struct Mount {
        char *source;      /* path on the host; of a volume without one "" */
        char *destination; /* path in the container; as VOLUME gave it, which may be "data" */
        char *volume;      /* the volume's name, of an anonymous one 64 hex digits; NULL: a bind */
} Mount;

/* One container, as the list tells. */
typedef struct Container {
        char id[CONTAINER_ID_MAX];
        char *name;  /* without the leading slash */
        char *image; /* as named at create; the engine gives the id once the name is gone */
        char image_id[IMAGE_ID_MAX];
        char *state;   /* "running", "exited", "created", ... */
        char *project; /* label com.docker.compose.project, or NULL */
        Mount *mounts; /* binds and volumes alone */
        size_t n_mounts;
        Strv image_mounts; /* references of the images it has mounted, as given at create */
        bool builds;       /* it runs a step of the classic builder; noted by inventory_observe() */
        int64_t created_sec;
} Container;

/* Whether the list shows an id in place of the image's name: the container was made by it, or the image lost its
 * name. */
bool container_shows_id(const Container *container);
/* Whether the engine may have made up its name, as it does where none is asked for: "angry_lovelace", where
 * that is taken "angry_lovelace7", and at last the id. */
bool container_name_is_generated(const Container *container);

typedef struct ContainerSet {
        Container *v;
        size_t n, size;
        UnreadableSet unreadable; /* the list has these as well */
        bool indexed;             /* by_image is in step with `v` */
        Index by_image;
} ContainerSet;

int container_set_add(ContainerSet *set, Container *container) must_check;
/* Makes container_set_holder() fast; to be called again after a change. */
int container_set_index(ContainerSet *set) must_check;
/* The positions of the containers made from the image of this id; NULL where there are none. For an indexed
 * set alone. */
const IndexEntry *container_set_of_image(const ContainerSet *set, const char *image_id,
                                         size_t *ret_n);
/* A container made from the image of this id, a running one if there is one; or NULL. */
const Container *container_set_holder(const ContainerSet *set, const char *image_id);
void container_done(Container *container);
void container_set_done(ContainerSet *set);
static inline void container_set_donep(ContainerSet *set) {
        container_set_done(set);
}

static inline void container_donep(Container *container) {
        container_done(container);
}

/*
 * A volume of Docker's own driver, "local", and what it binds. Read in moby's source (volume/local)
 * and seen on engines 20.10 and 28.5: the option "o" has a word "bind" or "rbind" between its commas,
 * in this very form, and then "type" counts for nothing ("ext4" binds, too; "bind" without that word
 * binds nothing); what is not absolute is below dockerd's working directory, which is the root; "none"
 * is no device. A symlink or ".." in the path stays: compare what paths lead to. What a volume shows of
 * the host in another way (an overlay's directories, a block device) is not told here.
 */
typedef struct Volume {
        char *name;
        char *device; /* absolute; NULL: it binds nothing, and is in no VolumeSet */
} Volume;

typedef struct VolumeSet {
        Volume *v;
        size_t n, size;
        UnreadableSet unreadable; /* the list has these as well */
} VolumeSet;

int volume_set_add(VolumeSet *set, Volume *volume) must_check;
void volume_done(Volume *volume);
void volume_set_done(VolumeSet *set);
static inline void volume_set_donep(VolumeSet *set) {
        volume_set_done(set);
}

static inline void volume_donep(Volume *volume) {
        volume_done(volume);
}

/* More about a container, from inspect. */
typedef struct ContainerDetail {
        char *config_image;   /* what it was created from, as given then */
        char *status;         /* State.Status */
        char *log_driver;     /* HostConfig.LogConfig.Type, "" if absent */
        bool dns;             /* HostConfig.Dns is a list, which may be empty */
        bool no_healthcheck;  /* Config.Healthcheck.Test is ["NONE"] */
        bool nop;             /* a word of Config.Cmd begins with "#(nop)" */
        int64_t exit_code;    /* State.ExitCode */
        int64_t finished_sec; /* State.FinishedAt, 0: never */
} ContainerDetail;

void container_detail_done(ContainerDetail *detail);

static inline void container_detail_donep(ContainerDetail *detail) {
        container_detail_done(detail);
}

typedef enum ImageStore { IMAGE_STORE_GRAPHDRIVER, IMAGE_STORE_CONTAINERD } ImageStore;

/* The engine itself. */
typedef struct EngineInfo {
        char version[64];     /* "20.10.24+dfsg1" */
        char api_version[16]; /* in force for our calls: "1.41" */
        unsigned api_major, api_minor;
        ImageStore image_store;
        char driver[32];
        char *root_dir; /* Docker's data root on this host */
} EngineInfo;

int engine_info_copy(const EngineInfo *info, EngineInfo *ret) must_check;
void engine_info_done(EngineInfo *info);
static inline void engine_info_donep(EngineInfo *info) {
        engine_info_done(info);
}
