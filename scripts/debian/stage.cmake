# Run by CPack on the installed tree: what is Debian's alone. Modes do not depend on the checkout's.

set(SOURCE ${CPACK_WPCACHE_SOURCE})
set(ROOT ${CPACK_TEMPORARY_INSTALL_DIRECTORY})
set(DOC ${ROOT}/usr/share/doc/wpcache)
function(stage FILE INTO NAME)
        configure_file(${SOURCE}/${FILE} ${INTO}/${NAME} COPYONLY)
endfunction()

stage(etc/wpcached.conf ${ROOT}/etc/wpcache wpcached.conf)
file(MAKE_DIRECTORY ${ROOT}/etc/wpcache/wpcached.conf.d)
stage(scripts/debian/copyright ${DOC} copyright)
stage(scripts/debian/changelog ${DOC} changelog.Debian)
stage(scripts/debian/lintian-overrides ${ROOT}/usr/share/lintian/overrides wpcache)

file(GLOB PAGES ${ROOT}/usr/share/man/man*/*)
foreach(FILE ${PAGES} ${DOC}/changelog.Debian)
        execute_process(COMMAND gzip -9nf ${FILE} COMMAND_ERROR_IS_FATAL ANY)
endforeach()
execute_process(COMMAND chmod -R u=rwX,go=rX ${ROOT} COMMAND_ERROR_IS_FATAL ANY)
