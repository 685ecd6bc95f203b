/* SPDX-License-Identifier: MIT */

#include <string.h>

#include "daemon/describe.h"
#include "daemon/parameters.h"
#include "daemon/reply.h"
#include "wire/interface.h"

void describe_info(Connection *connection, const VarlinkCall *call) {
        cleanup(json_free) Json *parameters = json_new_object(), *interfaces = json_new_array();
        int r;

        if (!read_nothing(connection, call))
                return;
        r = json_add_string(parameters, "vendor", "wpcache");
        r |= json_add_string(parameters, "product", "wpcached");
        r |= json_add_string(parameters, "version", WPCACHE_VERSION);
        r |= json_add_string(parameters, "url", "https://varlink.org");
        r |= json_append_string(interfaces, "org.varlink.service");
        r |= json_append_string(interfaces, INTERFACE_NAME);
        r |= json_add(parameters, "interfaces", TAKE_PTR(interfaces));
        if (r < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, false);
}

/* As varlink.org has it. */
static const char service_text[] =
        "# The Varlink Service Interface is provided by every varlink service.\n"
        "interface org.varlink.service\n"
        "\n"
        "method GetInfo() -> (\n"
        "  vendor: string,\n"
        "  product: string,\n"
        "  version: string,\n"
        "  url: string,\n"
        "  interfaces: []string\n"
        ")\n"
        "method GetInterfaceDescription(interface: string) -> (description: string)\n"
        "\n"
        "error InterfaceNotFound(interface: string)\n"
        "error MethodNotFound(method: string)\n"
        "error MethodNotImplemented(method: string)\n"
        "error InvalidParameter(parameter: string)\n"
        "error PermissionDenied()\n"
        "error ExpectedMore()\n";

void describe_interface(Connection *connection, const VarlinkCall *call) {
        static const Parameter table[] = { { "interface", PARAMETER_STRING, 0, .required = true } };
        cleanup(json_free) Json *parameters = json_new_object();
        const char *name, *text;

        if (!read_parameters(connection, call, table, ELEMENTSOF(table), &name))
                return;
        if (strcmp(name, INTERFACE_NAME) == 0)
                text = interface_text;
        else if (strcmp(name, "org.varlink.service") == 0)
                text = service_text;
        else {
                reply_error(connection, ERROR_INTERFACE_NOT_FOUND, "interface", name);
                return;
        }
        if (json_add_string(parameters, "description", text) < 0)
                reply_no_memory(connection);
        else
                connection_reply(connection, parameters, false);
}
