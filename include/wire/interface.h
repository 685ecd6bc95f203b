/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The control interface: its description, and the names both ends of the wire must agree on.
 * docs/PROTOCOL.md explains it; the description is what GetInterfaceDescription returns.
 */

#define INTERFACE_NAME "io.watchparty.Cache"
#define INTERFACE_SOCKET "/run/wpcache/" INTERFACE_NAME

/* src/wire/io.watchparty.Cache.varlink, NUL-terminated */
extern const char interface_text[];

/* Limits on parameters that a person chooses, told before a call is made. */
#define INTERFACE_TTL_SEC_MAX (24 * 3600)
#define INTERFACE_WHY_MAX 200

#define ERROR_ENGINE_UNAVAILABLE INTERFACE_NAME ".EngineUnavailable"
#define ERROR_UNKNOWN_TARGET INTERFACE_NAME ".UnknownTarget"
#define ERROR_UNKNOWN_RECEIPT INTERFACE_NAME ".UnknownReceipt"
#define ERROR_UNKNOWN_OBJECT INTERFACE_NAME ".UnknownObject"
#define ERROR_BUSY INTERFACE_NAME ".Busy"
#define ERROR_CONFIG_INVALID INTERFACE_NAME ".ConfigInvalid"
#define ERROR_JOB_FAILED INTERFACE_NAME ".JobFailed"
#define ERROR_SHUTTING_DOWN INTERFACE_NAME ".ShuttingDown"
/* As sd-varlink has it */
#define ERROR_PERMISSION_DENIED "org.varlink.service.PermissionDenied"
#define ERROR_INVALID_PARAMETER "org.varlink.service.InvalidParameter"
#define ERROR_METHOD_NOT_FOUND "org.varlink.service.MethodNotFound"
#define ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define ERROR_INTERFACE_NOT_FOUND "org.varlink.service.InterfaceNotFound"
#define ERROR_EXPECTED_MORE "org.varlink.service.ExpectedMore"
