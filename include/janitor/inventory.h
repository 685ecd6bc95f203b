/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Observe: one reading of everything a clear has to know. A list that can't be read fails the whole
 * reading; single objects that can't be read are named as unreadable.
 *
 * Who built an image is not in the engine's list: see janitor/image-facts.h.
 */

#include "conf/config.h"
#include "docker/image-mounts.h"
#include "docker/services.h"
#include "janitor/builds.h"
#include "janitor/receipt.h"
#include "store/facts.h"

/* Space comes back a moment after the engine's answer (asynchronous removal, statvfs): free space is read once
 * more after so long. */
#define DISK_SETTLE_USEC (2 * USEC_PER_SEC)

/* A file system that Docker keeps its data on. */
typedef struct Disk {
        char *path;
        uint64_t total_bytes, free_bytes;   /* free: for those who are not root */
        uint64_t total_inodes, free_inodes; /* 0 of 0: it has no fixed number */
} Disk;

typedef struct Disks {
        Disk *v;
        size_t n, size;
        Strv unseen; /* paths that can't be looked at, and why */
} Disks;

void disks_done(Disks *disks);

/*
 * The file systems of [disk] paths, each once; "auto": of Docker's data root, and on the containerd
 * store of /var/lib/containerd, where an engine that did not start its own containerd keeps images.
 */
int disks_observe(const Config *config, const EngineInfo *engine, Disks *ret) must_check;

typedef struct Inventory {
        EngineInfo engine; /* who answered */
        ImageStore image_store;
        /* Figures of the whole build cache, kept or not. */
        size_t n_records, n_in_use;
        uint64_t record_bytes;  /* of all records */
        uint64_t private_bytes; /* of those not shared with an image: what BuildKit counts */
        uint64_t in_use_private_bytes;
        Builds builds;             /* of BuildKit */
        uint64_t build_cache_usec; /* what the engine took for its answer */
        RecordSet records;         /* empty with OBSERVE_FIGURES */
        UnreadableSet unreadable_records;
        Disks disks;
        ImageSet images;
        ContainerSet containers;  /* `image` is as at create, also where the list has an id */
        ServiceImages services;   /* of the swarm, resolved to these images */
        ImageMounts image_mounts; /* of these containers and images */
        FactSet facts;
        Strv builder_volumes; /* of docker-container builders, with OBSERVE_ALL */
        bool builder_volumes_unknown;
        UnreadableSet unreadable_volumes; /* which may be a builder's, with OBSERVE_ALL */
        Strv classic_builds;              /* signs of a classic build under way, for a person */
        /* When the newest image of ours was made that the classic builder named, in this observation or
         * a former one of the job. Builds made before this time have ended, even if the clear has since
         * removed that image. */
        int64_t ours_ended_nsec;
        int64_t observed_sec;
        /* CLOCK_BOOTTIME before the first list was read; 0: none was. */
        uint64_t begin_usec;
        /* Borrowed, or NULL; kept from one observation to the next. */
        BuildWatch *watch;
        KnownMounts *known_mounts;
        struct TagEvents *tag_events;
} Inventory;

#define INVENTORY_NULL ((Inventory){ .image_store = IMAGE_STORE_GRAPHDRIVER })

typedef enum Observe {
        OBSERVE_ALL,
        /* For a poll: keeps no build record, and reads no facts of images. It inspects at most 64 images
         * that bear a name by which a container has an image mounted, and at most 64 untagged images of
         * the last minute that may be steps of a classic build. */
        OBSERVE_FIGURES,
} Observe;

/*
 * Reads everything. One object that can't be read does not spoil the rest: the sets of images and
 * containers and `unreadable_records` name it, and callers must check them before they act. An image is
 * unreadable, though it is in the list, if the engine can't tell its details. `ret` must be
 * INVENTORY_NULL, perhaps with `watch`, `known_mounts` and `tag_events`, or a former inventory of the same
 * job, of which only those, the facts and ours_ended_nsec are kept. On error it is empty but for those.
 * `known` are images that were steps of a finished image, or that image, when last looked at: without a
 * name they are left over, however young, and no sign of a build.
 */
int inventory_observe(Docker *docker, const Config *config, Observe what, const NamedImages *known,
                      Inventory *ret, Diag *reterr_diag) must_check;
void inventory_done(Inventory *inventory);
static inline void inventory_donep(Inventory *inventory) {
        inventory_done(inventory);
}

/* The containers alone, with `image` as in an inventory. */
int inventory_observe_containers(Docker *docker, ContainerSet *ret, Diag *reterr_diag) must_check;

/* A volume may be a path of the host under another name: puts that in place of its mounts' sources.
 * "volume NAME" of a volume that can't be read is added to the set's unreadable ones. */
int inventory_resolve_volumes(Docker *docker, ContainerSet *containers,
                              Diag *reterr_diag) must_check;

/* Whether the classic builder made (or committed, or loaded) this image. */
bool image_is_classic(const Inventory *inventory, const Image *image);
/* Neither a name nor a digest: what `docker images` calls dangling. */
bool image_is_untagged(const Image *image);
/* Whether another image was made from it by the classic builder or commit. */
bool image_has_children(const Inventory *inventory, const Image *image);

/* The container that was made from an image or has it mounted, or NULL; running ones first. */
const Container *container_of_image(const Inventory *inventory, const char *image_id);
/* A container that may have the image mounted, by a name that may have moved since; or NULL. */
const Container *container_that_may_mount(const Inventory *inventory, const Image *image);

/*
 * Whether a container of any state was made from the image or may have it mounted, or a service of the
 * swarm needs it: its spec, its previous spec or one of its tasks names it. Such an image keeps a name
 * through a clear (a rollback tag) and is no candidate of policy. Where the services of a manager cannot be
 * read, every image counts as in use.
 */
bool image_in_use(const Inventory *inventory, const Image *image);
/* The same, or some container can't be read, which may be made from it. */
bool image_may_be_used(const Inventory *inventory, const Image *image);
/* The reference of a service to the image, or NULL. */
const ServiceImage *service_of_image(const Inventory *inventory, const Image *image);
/* Whether a call that asked for one object failed because of that object: the engine answered with an
 * error or in a form that can't be read, so other objects may still be readable. */
bool failure_is_of_object(int error);
/*
 * What the failure to inspect one object means: the object is unreadable, and is added to `set` (0),
 * where the engine answered with an error or in a form that can't be read; the observation fails
 * otherwise, or where too many are unreadable.
 */
int inventory_add_failure(UnreadableSet *set, const char *id, int error, const Diag *diag,
                          Diag *reterr_diag) must_check;

/* Whether some image or container could not be read: what an image is needed for is not known then. */
bool inventory_is_partial(const Inventory *inventory);

/* True while BuildKit builds, or may, or lets go of the records of a build that has just ended: a
 * record is in use that has not leaked, or the build history says so or can't be read. */
bool inventory_buildkit_building(const Inventory *inventory);
/* The same, or the classic builder builds. */
bool inventory_building(const Inventory *inventory);

/* Names the janitor gives: "wpcache-trash:ID", "REPO:wpcache-trash-ID" to an image that has but a digest
 * in that repository, and "REPO:wpcache-rollback-ID". */
#define TRASH_REPOSITORY "wpcache-trash"
bool name_is_trash(const char *name);
/* A tag of that form in a repository of the application. In another repository it is a person's: neither removed,
 * nor passed over as a source of cached steps. */
bool name_is_rollback(const Config *config, const Image *image, const char *name);
/* By the form of the name alone; `rollback_tag` is [images] rollback_tag. */
bool name_is_own(const char *rollback_tag, const char *name);
bool image_has_rollback_tag(const Config *config, const Image *image);

/* Whether clears and policy may take this name of this image away: it matches, and is neither
 * protected nor a base image, nor one of the janitor's own. */
bool name_in_scope(const Config *config, const Image *image, const char *name);
/* Whether a name is one of [images] match, protected or not. */
bool name_is_ours(const Config *config, const Image *image, const char *name);
