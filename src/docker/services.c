/* SPDX-License-Identifier: MIT */

#include "docker/services.h"

#include <string.h>

#include "base/array.h"
#include "base/text.h"
#include "docker/call.h"
#include "docker/parse.h"
#include "docker/references.h"
#include "wire/json.h"

int service_images_add(ServiceImages *services, const char *service, const char *image, bool next) {
        cleanup_free char *service_copy = strdup(service), *image_copy = strdup(image);

        if (!service_copy || !image_copy ||
            array_grow(services->v, services->n, services->size) < 0)
                return -ENOMEM;
        index_done(&services->by_id); /* its keys may have moved */
        services->v[services->n++] = (ServiceImage){
                .service = TAKE_PTR(service_copy),
                .image = TAKE_PTR(image_copy),
                .next = next,
        };
        return 0;
}

static void service_image_done(ServiceImage *entry) {
        free(entry->service);
        free(entry->image);
}

void service_images_done(ServiceImages *services) {
        for (size_t i = 0; i < services->n; i++)
                service_image_done(&services->v[i]);
        free(services->v);
        free(services->unread);
        index_done(&services->by_id);
        *services = (ServiceImages){ 0 };
}

/* Reading */

/* What is collected from both answers. Tasks name their service by its id. */
typedef struct Reading {
        ServiceImages images;
        Strv ids, names; /* of the services, one each */
        Index by_id;
} Reading;

static void reading_donep(Reading *reading) {
        service_images_done(&reading->images);
        strv_done(&reading->ids);
        strv_done(&reading->names);
        index_done(&reading->by_id);
}

/* NULL where there is none: a task may also be a plugin. */
static const char *image_of_template(const Json *template) {
        return json_get_string(json_get(template, "ContainerSpec"), "Image", NULL);
}

static int add_image(Reading *reading, const char *service, const char *image, bool next) {
        return image && *image ? service_images_add(&reading->images, service, image, next) : 0;
}

static int read_service(Reading *reading, const Json *json) {
        const Json *spec = json_get(json, "Spec"), *previous = json_get(json, "PreviousSpec");
        const char *id = json_get_string(json, "ID", NULL);
        const char *name = json_get_string(spec, "Name", id);
        int r;

        if (!id || !name)
                return -EBADMSG;
        r = strv_add(&reading->ids, id);
        if (r >= 0)
                r = strv_add(&reading->names, name);
        if (r >= 0)
                r = add_image(reading, name, image_of_template(json_get(spec, "TaskTemplate")),
                              true);
        if (r >= 0)
                r = add_image(reading, name, image_of_template(json_get(previous, "TaskTemplate")),
                              false);
        return r;
}

static int on_service(void *userdata, const char *text, size_t n, const char *defect,
                      Diag *reterr_diag) {
        cleanup(json_free) Json *json = NULL;
        int r;

        r = defect ? -EBADMSG : parse_json_object(text, n, &json);
        if (r >= 0)
                r = read_service(userdata, json);
        return r < 0 ? parse_failed(reterr_diag, r, "the engine's list of services is malformed")
                     : 0;
}

static int on_task(void *userdata, const char *text, size_t n, const char *defect,
                   Diag *reterr_diag) {
        cleanup(json_free) Json *json = NULL;
        Reading *reading = userdata;
        const IndexEntry *service;
        const char *id;
        int r;

        r = defect ? -EBADMSG : parse_json_object(text, n, &json);
        if (r < 0)
                return parse_failed(reterr_diag, r, "the engine's list of tasks is malformed");
        id = json_get_string(json, "ServiceID", "");
        service = index_find(&reading->by_id, id, NULL);
        return add_image(reading, service ? reading->names.v[service->at] : id,
                         image_of_template(json_get(json, "Spec")), false);
}

static int read_list(Docker *docker, const char *path, const char *const *keep,
                     RecordsElement element, Reading *reading, Diag *reterr_diag) {
        static const char *const paths[] = { "", NULL };
        const RecordsWant want = { .paths = paths,
                                   .keep = keep,
                                   .element_max = RECORDS_ELEMENT_MAX };
        const Request request = {
                .method = "GET",
                .path = path,
                .deadline_usec = docker_deadline(docker, false),
        };

        return docker_call_list(docker, &request, &want, element, NULL, reading, NULL, reterr_diag);
}

static int index_services(Reading *reading) {
        for (size_t i = 0; i < reading->ids.n; i++)
                if (index_add(&reading->by_id, reading->ids.v[i], i) < 0)
                        return -ENOMEM;
        index_sort(&reading->by_id);
        return 0;
}

static int compare_references(const void *a, const void *b) {
        const ServiceImage *x = a, *y = b;
        int c = strcmp(x->service, y->service);

        if (c == 0)
                c = strcmp(x->image, y->image);
        return c != 0 ? c : (int)y->next - (int)x->next;
}

/* A service may have thousands of tasks, and nearly all of them name the image of its spec. */
static void drop_repeated(ServiceImages *services) {
        size_t n = 0;

        if (services->n > 0)
                qsort(services->v, services->n, sizeof(*services->v), compare_references);
        for (size_t i = 0; i < services->n; i++) {
                const ServiceImage *last = n > 0 ? &services->v[n - 1] : NULL;

                if (last && strcmp(last->service, services->v[i].service) == 0 &&
                    strcmp(last->image, services->v[i].image) == 0)
                        service_image_done(&services->v[i]);
                else
                        services->v[n++] = services->v[i];
        }
        services->n = n;
}

static int read_services(Docker *docker, ServiceImages *ret, Diag *reterr_diag) {
        static const char *const of_service[] = {
                "ID",
                "Spec/Name",
                "Spec/TaskTemplate/ContainerSpec/Image",
                "PreviousSpec/TaskTemplate/ContainerSpec/Image",
                NULL,
        };
        static const char *const of_task[] = { "ServiceID", "Spec/ContainerSpec/Image", NULL };
        cleanup(reading_done) Reading reading = { 0 };
        int r;

        r = read_list(docker, "/services", of_service, on_service, &reading, reterr_diag);
        if (r >= 0)
                r = index_services(&reading);
        if (r >= 0 && reading.ids.n > 0)
                r = read_list(docker, "/tasks", of_task, on_task, &reading, reterr_diag);
        if (r < 0)
                return r;
        drop_repeated(&reading.images);
        *ret = reading.images;
        reading.images = (ServiceImages){ 0 };
        return 0;
}

typedef enum SwarmRole {
        SWARM_NONE,    /* in no swarm, or a worker, which does not know the services */
        SWARM_MANAGER, /* answers for the services */
        SWARM_UNREADY, /* locked, starting or in trouble: there may be services */
} SwarmRole;

/*
 * A worker that is up differs from a manager that lost its quorum in this alone: a manager lists
 * itself among the managers.
 */
static SwarmRole role_of_info(const Json *info) {
        const Json *swarm = json_get(info, "Swarm");
        const char *state = json_get_string(swarm, "LocalNodeState", "");
        const char *node = json_get_string(swarm, "NodeID", "");

        if (!*state || strcmp(state, "inactive") == 0)
                return SWARM_NONE;
        if (strcmp(state, "active") != 0)
                return SWARM_UNREADY;
        if (json_get_bool(swarm, "ControlAvailable", false))
                return SWARM_MANAGER;
        json_foreach (manager, json_get(swarm, "RemoteManagers"))
                if (strcmp(json_get_string(manager, "NodeID", ""), node) == 0)
                        return SWARM_UNREADY;
        return SWARM_NONE;
}

static int ask_role(Docker *docker, SwarmRole *ret, Diag *reterr_diag) {
        static const char *const keep[] = { "Swarm/LocalNodeState", "Swarm/NodeID",
                                            "Swarm/ControlAvailable", "Swarm/RemoteManagers/NodeID",
                                            NULL };
        cleanup(body_done) Body body = { 0 };
        cleanup(json_free) Json *info = NULL;
        const Request request = {
                .method = "GET",
                .path = "/info",
                .deadline_usec = docker_deadline(docker, false),
        };
        int r;

        r = docker_call_object(docker, &request, keep, &body, reterr_diag);
        if (r < 0)
                return r;
        r = parse_json_object(body.text, body.n, &info);
        if (r < 0)
                return parse_failed(reterr_diag, r, "what the engine says of itself is malformed");
        *ret = role_of_info(info);
        return 0;
}

static int find_role(Docker *docker, SwarmRole *ret, Diag *reterr_diag) {
        const char *header = docker_swarm_header(docker);

        if (strcmp(header, "inactive") == 0)
                *ret = SWARM_NONE;
        else if (strcmp(header, "active/manager") == 0)
                *ret = SWARM_MANAGER;
        else
                return ask_role(docker, ret, reterr_diag);
        return 0;
}

/* Whether the engine was there and answered, whatever it said. */
static bool has_answered(int error) {
        return error == -EREMOTEIO || error == -EBADMSG || error == -ENOENT || error == -EINVAL ||
               error == -EBUSY;
}

int docker_services(Docker *docker, ServiceImages *ret, Diag *reterr_diag) {
        Diag diag = DIAG_NULL;
        SwarmRole role;
        int r;

        *ret = (ServiceImages){ 0 };
        r = find_role(docker, &role, reterr_diag);
        if (r < 0 || role == SWARM_NONE)
                return r;
        if (role == SWARM_MANAGER) {
                r = read_services(docker, ret, &diag);
                if (r >= 0)
                        return 0;
                if (!has_answered(r)) {
                        if (reterr_diag)
                                *reterr_diag = diag;
                        return r;
                }
        }
        ret->unread = strdup(role == SWARM_MANAGER
                                     ? diag_text(&diag, r)
                                     : "this node is part of a swarm, but not ready or locked");
        return ret->unread ? 0 : -ENOMEM;
}

/* Images */

/* For the index, of which the first entry counts. */
static int compare_use(const void *a, const void *b) {
        const ServiceImage *x = a, *y = b;
        int c = (int)y->next - (int)x->next;

        return c != 0 ? c : compare_references(a, b);
}

int service_images_resolve(ServiceImages *services, const ImageSet *images) {
        cleanup(references_done) References references = { 0 };

        index_done(&services->by_id);
        if (services->n == 0)
                return 0;
        if (references_init(&references, images) < 0)
                return -ENOMEM;
        qsort(services->v, services->n, sizeof(*services->v), compare_use);
        for (size_t i = 0; i < services->n; i++) {
                const Image *image;
                bool by_name;

                if (references_find(&references, services->v[i].image, &image, &by_name) < 0)
                        return -ENOMEM;
                strcpy(services->v[i].id, image ? image->id : "");
                if (image && index_add(&services->by_id, services->v[i].id, i) < 0)
                        return -ENOMEM;
        }
        index_sort(&services->by_id);
        return 0;
}

const ServiceImage *service_images_find(const ServiceImages *services, const char *id) {
        const IndexEntry *entry = index_find(&services->by_id, id, NULL);

        return entry ? &services->v[entry->at] : NULL;
}
