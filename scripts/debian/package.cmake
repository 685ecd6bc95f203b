# The Debian package: cmake --build BUILD --target package

include(GNUInstallDirs)
set(SYSTEMD ${PROJECT_SOURCE_DIR}/systemd)
# Relative: what is installed by hand goes below its prefix, and nothing into /etc
install(FILES ${SYSTEMD}/wpcached.service ${SYSTEMD}/wpcached.socket
              ${SYSTEMD}/wpcache-clear@.service ${SYSTEMD}/wpcache-clear@.timer
        DESTINATION lib/systemd/system)
install(FILES ${SYSTEMD}/wpcache.sysusers DESTINATION lib/sysusers.d RENAME wpcache.conf)
install(FILES ${SYSTEMD}/wpcache.tmpfiles DESTINATION lib/tmpfiles.d RENAME wpcache.conf)
install(FILES ${SYSTEMD}/wpcache.catalog DESTINATION lib/systemd/catalog)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "the wpcache authors <wpcache@example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Docker cache janitor with a clear that proves itself")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/stage.cmake)
set(CPACK_WPCACHE_SOURCE ${PROJECT_SOURCE_DIR})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd (>= 252)")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "docker.io | docker-ce")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"wpcached keeps the build cache and the images of a Docker engine on its own
host within limits. On request it removes every source of cached
layers and caches of applications, looks again, and succeeds only if none is
left; else it names each, why it is still there and what would end it.
.
Images in use, volumes, networks and what others own are never touched.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_CURRENT_LIST_DIR}/conffiles ${CMAKE_CURRENT_LIST_DIR}/postinst
    ${CMAKE_CURRENT_LIST_DIR}/postrm ${CMAKE_CURRENT_LIST_DIR}/prerm)
include(CPack)
