# Values that commands and monitors share, and what both do to cgroups that exist.
skiff_module(engine_spec
  SOURCES types.cc runtime_spec.cc launch_protocol.cc
  LINK skiff_base)
