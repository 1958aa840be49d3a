# Values that commands and monitors share, and what both do to cgroups that exist.
skiff_module(engine_spec
  SOURCES cgroup_control.cc types.cc runtime_spec.cc launch_protocol.cc
  LINK skiff_base)

# Seccomp policies to cBPF. libseccomp is linked statically; only policies other than the default one
# run it.
skiff_module(seccomp
  SOURCES seccomp/compile.cc seccomp/default_policy.cc seccomp/filter_builder.cc
  LINK skiff_base)
target_link_libraries(skiff_seccomp PUBLIC /usr/lib/x86_64-linux-gnu/libseccomp.a)

add_executable(skiff_seccomp_generator seccomp/generate_default.cc)
target_link_libraries(skiff_seccomp_generator PRIVATE skiff_seccomp)
set(SKIFF_DEFAULT_FILTER "${CMAKE_CURRENT_BINARY_DIR}/default_filter.cc")
add_custom_command(OUTPUT "${SKIFF_DEFAULT_FILTER}"
  COMMAND skiff_seccomp_generator > "${SKIFF_DEFAULT_FILTER}.new"
  COMMAND ${CMAKE_COMMAND} -E rename "${SKIFF_DEFAULT_FILTER}.new" "${SKIFF_DEFAULT_FILTER}"
  DEPENDS skiff_seccomp_generator
  COMMENT "Compiling the default seccomp policy")

# The code between clone and exec: nothing of libc or libstdc++ but what child_symbols.txt lists, in
# every build, so neither sanitizers nor hardening calls.
add_library(skiff_child_inside OBJECT
  child/inside/devices.cc child/inside/exec.cc child/inside/init.cc child/inside/mounts.cc
  child/inside/overlay.cc child/inside/path.cc child/inside/process.cc child/inside/program.cc
  child/inside/report.cc child/inside/stat.cc child/inside/tiny_init.cc child/inside/user.cc)
target_compile_options(skiff_child_inside PRIVATE
  -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-stack-protector -fno-sanitize=all
  -fno-asynchronous-unwind-tables -U_FORTIFY_SOURCE -U_GLIBCXX_ASSERTIONS)

skiff_module(child
  SOURCES child/start.cc child/plan_builder.cc "${SKIFF_DEFAULT_FILTER}"
          $<TARGET_OBJECTS:skiff_child_inside>
  LINK skiff_engine_spec)

# The command's side.
skiff_module(launch
  SOURCES capabilities.cc cgroup.cc cgroup_devices.cc cgroup_layout.cc cgroup_resources.cc launcher.cc
          launch/normal_context.cc runtime_defaults.cc seccomp/profile.cc
          seccomp/resolve.cc
  LINK skiff_engine_spec skiff_seccomp)
# Runs in the memory of the program that starts a monitor, on a stack of its own.
set_source_files_properties(launch/normal_context.cc PROPERTIES COMPILE_OPTIONS -fno-sanitize=all)
skiff_unity(skiff_launch)
