skiff_test(unit_engine_runtime LABEL unit
  SOURCES capabilities_test.cc cgroup_values_test.cc launch_protocol_test.cc runtime_spec_test.cc
          seccomp_policy_test.cc
  LINK skiff_child skiff_launch)
