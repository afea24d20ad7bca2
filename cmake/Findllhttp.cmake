# Finds llhttp, the HTTP/1 parser of Node.js, and makes the target llhttp::llhttp.
#
# Two ways, tried in this order:
#   1. a system library (libllhttp-dev of newer Debian releases);
#   2. the generated C sources that Debian 12's package node-llhttp ships in /usr/share/llhttp,
#      with the header in /usr/share/include/llhttp, built here as a static library.

find_path(llhttp_INCLUDE_DIR llhttp.h PATHS /usr/share/include PATH_SUFFIXES llhttp)
find_library(llhttp_LIBRARY NAMES llhttp)
find_path(llhttp_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
mark_as_advanced(llhttp_INCLUDE_DIR llhttp_LIBRARY llhttp_SOURCE_DIR)

if(llhttp_INCLUDE_DIR)
  file(STRINGS ${llhttp_INCLUDE_DIR}/llhttp.h llhttp_version_lines
       REGEX "#define LLHTTP_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX REPLACE "[^0-9;]" "" llhttp_version_lines "${llhttp_version_lines}")
  list(JOIN llhttp_version_lines "." llhttp_VERSION)
endif()

if(llhttp_LIBRARY)
  set(llhttp_FROM ${llhttp_LIBRARY})
elseif(llhttp_SOURCE_DIR)
  set(llhttp_FROM ${llhttp_SOURCE_DIR})
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  llhttp
  REQUIRED_VARS llhttp_FROM llhttp_INCLUDE_DIR
  VERSION_VAR llhttp_VERSION
  REASON_FAILURE_MESSAGE "install libllhttp-dev or, on Debian 12, node-llhttp")

if(llhttp_FOUND AND NOT TARGET llhttp::llhttp)
  if(llhttp_LIBRARY)
    add_library(llhttp::llhttp UNKNOWN IMPORTED)
    set_target_properties(llhttp::llhttp PROPERTIES IMPORTED_LOCATION ${llhttp_LIBRARY})
    target_include_directories(llhttp::llhttp SYSTEM INTERFACE ${llhttp_INCLUDE_DIR})
  else()
    enable_language(C)
    add_library(llhttp_from_sources STATIC ${llhttp_SOURCE_DIR}/llhttp.c
                                           ${llhttp_SOURCE_DIR}/api.c ${llhttp_SOURCE_DIR}/http.c)
    target_include_directories(llhttp_from_sources SYSTEM PUBLIC ${llhttp_INCLUDE_DIR})
    add_library(llhttp::llhttp ALIAS llhttp_from_sources)
  endif()
endif()
