# Logs, journal, state and the words of the control socket: what a monitor and its clients share.
skiff_module(container_files
  SOURCES log_file.cc journal.cc monitor/liveness.cc monitor/protocol.cc monitor/state_text.cc
  LINK skiff_engine_spec)

# The monitor's brain: pure, no descriptors.
skiff_module(monitor_core
  SOURCES monitor/core.cc monitor/health.cc
  LINK skiff_engine_spec)

# A command's side.
skiff_module(monitor_client
  SOURCES monitor_client.cc state_json.cc
  LINK skiff_container_files)

# The shell around the core.
skiff_module(monitor_shell
  SOURCES monitor/control.cc monitor/exec_session.cc monitor/log_pump.cc monitor/log_writer.cc
          monitor/monitor.cc monitor/monitor_clients.cc monitor/monitor_run.cc
          monitor/network_services.cc monitor/stream.cc
  LINK skiff_monitor_core skiff_container_files skiff_child skiff_netmgr_dns skiff_netmgr_relay)

add_executable(skiff-monitor monitor/main.cc)
target_link_libraries(skiff-monitor PRIVATE skiff_monitor_shell)
# Static and at a fixed address: no relocations, so that the pages of all monitors are the same.
# Sanitizers have no static runtime.
if(NOT SKIFF_SANITIZE)
  target_link_options(skiff-monitor PRIVATE -static -no-pie -Wl,--gc-sections)
endif()
