skiff_test(monitor_core_test LABEL unit
  SOURCES monitor_core_test.cc monitor_health_test.cc
  LINK skiff_monitor_core)
skiff_test(monitor_files_test LABEL unit
  SOURCES monitor_log_test.cc monitor_state_test.cc monitor_protocol_test.cc old_monitor_test.cc
  LINK skiff_monitor_shell skiff_monitor_client)
