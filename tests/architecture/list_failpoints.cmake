# Prints every failpoint of the product's sources, one a line: NAME FILE. What fault runs go through.
#
#   cmake -P tests/architecture/list_failpoints.cmake

cmake_path(SET root NORMALIZE "${CMAKE_CURRENT_LIST_DIR}/../..")
set(lines "")
foreach(module base schema netmgr volumes engine-core builder compose api cli)
  file(GLOB_RECURSE files "${root}/${module}/*.cc" "${root}/${module}/*.h")
  foreach(file IN LISTS files)
    cmake_path(RELATIVE_PATH file BASE_DIRECTORY "${root}" OUTPUT_VARIABLE place)
    if(place MATCHES "^base/failpoint\\.")
      continue()
    endif()
    file(READ "${file}" text)
    # Comments speak of failpoints too; semicolons and brackets would be syntax of CMake's lists.
    string(REGEX REPLACE "//[^\n]*" "" text "${text}")
    string(REGEX REPLACE "[][;\\]" " " text "${text}")
    string(REGEX MATCHALL "Failpoint[ \n]*\\([ \n]*\"[^\"]*\"" calls "${text}")
    foreach(call IN LISTS calls)
      string(REGEX REPLACE ".*\"([^\"]*)\"" "\\1" name "${call}")
      list(APPEND lines "${name} ${place}")
    endforeach()
  endforeach()
endforeach()
list(SORT lines)
string(JOIN "\n" text ${lines})
execute_process(COMMAND "${CMAKE_COMMAND}" -E echo "${text}")
