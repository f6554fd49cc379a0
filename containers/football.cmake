# The active environment's Python and its Boost (cmeel-boost), for CMake's FindPython prefers the system's headers.
function(ask what variable)
  execute_process(COMMAND python3 -c "import site, sys, sysconfig; v = sysconfig.get_config_var; print(${what})"
                  OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  set(${variable} "${answer}" CACHE INTERNAL "")
endfunction()
ask("sysconfig.get_path('include')" Python_INCLUDE_DIR)
ask("v('LIBDIR') + '/' + v('INSTSONAME')" Python_LIBRARY)
ask("site.getsitepackages()[0] + '/cmeel.prefix'" CMEEL)
list(APPEND CMAKE_PREFIX_PATH "${CMEEL}")
set(CMAKE_BUILD_RPATH "$ORIGIN/../cmeel.prefix/lib")
