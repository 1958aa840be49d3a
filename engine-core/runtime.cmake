# Values that commands and monitors share, and what both do to cgroups that exist.
skiff_module(engine_spec
  SOURCES types.cc runtime_spec.cc launch_protocol.cc
  LINK skiff_base)

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
  SOURCES child/start.cc child/plan_builder.cc child/default_filter.cc
          $<TARGET_OBJECTS:skiff_child_inside>
  LINK skiff_engine_spec)
