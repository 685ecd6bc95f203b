/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Images that containers have mounted as a directory (`docker run --mount type=image,src=IMAGE`, Engine 28
 * and later). The engine refuses to take the last name of such an image (409), as of the image that a
 * container was made from; a container that is stopped and started keeps its mount, whatever the names.
 *
 * Read in moby's source (daemon/volumes.go) and seen on engine 28.5 with both image stores: the list of
 * containers has such a mount as Type "image", with the reference in Name as it was given at create. The
 * image's id is in no answer of the API. So where the reference was a name and others may have moved it
 * since, the mounted image is not known for certain.
 * A container made with --volumes-from has the mounts of the other one. Services of a swarm can't have
 * such mounts ("invalid MountType", 28.5).
 */

#include "docker/api.h"
#include "docker/references.h"

/*
 * Mounts by name whose image is known for certain. A container keeps its image as long as it exists, so
 * what one observation found holds for the later ones, after the name moved or was taken away. Zero at
 * first; one for all observations.
 */
typedef struct KnownMount {
        char *key; /* id of the container and the reference */
        char image_id[IMAGE_ID_MAX];
} KnownMount;

typedef struct KnownMounts {
        KnownMount *v;
        size_t n, size;
        Index by_key;
} KnownMounts;

void known_mounts_done(KnownMounts *known);

/* One container that has, or may have, one image mounted. */
typedef struct ImageMount {
        char image_id[IMAGE_ID_MAX];
        size_t container; /* position in the set of containers */
        bool certain;
} ImageMount;

typedef struct ImageMounts {
        ImageMount *v;
        size_t n, size;
        Index by_image;
} ImageMounts;

/*
 * Tells when the name of an image was last given by a tag, in seconds since 1970; 0: not known.
 * 0 or a negative error, which ends the call and is handed through.
 */
typedef int (*ImageMountsTagged)(void *userdata, const Image *image, int64_t *ret_sec);

/*
 * Finds the image of each mount. The image that bears a name now counts as mounted for certain. If the name
 * may be younger than the container (`tagged` is asked, a few dozen times at most, and once for an image) or
 * is gone, each image that has a name or digest in the same repository, or none at all, and was not made
 * after the container, is recorded as possibly mounted, also the image that bears the name now. For each
 * possibly mounted image, only one container is recorded.
 *
 * `known` (may be NULL): what earlier calls found, which `tagged` is not asked for again; brought up to
 * these containers unless the call fails. `now_sec`: wall time; a date later than that was made up and
 * excludes nothing. N log N. 0 or -ENOMEM, or an error of `tagged`; `ret` is empty then.
 */
int image_mounts_find(const ContainerSet *containers, const ImageSet *images, int64_t now_sec,
                      ImageMountsTagged tagged, void *userdata, KnownMounts *known,
                      ImageMounts *ret) must_check;

/* The same, with the engine asked for Metadata.LastTagTime. An image that can't be described counts as
 * not known. */
int docker_image_mounts(Docker *docker, const ContainerSet *containers, const ImageSet *images,
                        int64_t now_sec, KnownMounts *known, ImageMounts *ret,
                        Diag *reterr_diag) must_check;

/* A container that has the image mounted, a running one if there is one; or NULL. `certain`: false to ask
 * for one that may have it mounted. Borrowed from `containers`, the set that the mounts were found in. */
const Container *image_mounts_holder(const ImageMounts *mounts, const ContainerSet *containers,
                                     const char *image_id, bool certain);

/* Whether a container has this image mounted by its id, which needs no look-up of names. */
bool containers_mount_id(const ContainerSet *containers, const char *image_id);

void image_mounts_done(ImageMounts *mounts);
static inline void image_mounts_donep(ImageMounts *mounts) {
        image_mounts_done(mounts);
}
