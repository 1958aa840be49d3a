# The side of the module that a command links: store, images, layers, the embedded engine.
add_library(skiff_fake_engine STATIC fake_engine.cc fake/images.cc)
target_link_libraries(skiff_fake_engine PUBLIC skiff_image_formats skiff_image_tar)

add_library(skiff_store STATIC layout.cc store/database.cc store/records.cc store/store.cc)
target_link_libraries(skiff_store PUBLIC skiff_base /usr/lib/x86_64-linux-gnu/libsqlite3.a
                      PRIVATE ${CMAKE_DL_LIBS})

# Reading archives: the library is for the program and its tests only; commands link the client.
add_library(skiff_transfer_protocol STATIC transfer/protocol.cc transfer/registry_protocol.cc)
target_link_libraries(skiff_transfer_protocol PUBLIC skiff_base)
add_library(skiff_transfer_unpack STATIC transfer/tree_writer.cc transfer/unpack.cc)
target_link_libraries(skiff_transfer_unpack PUBLIC skiff_transfer_protocol archive)
# The traffic with registries.
add_library(skiff_transfer_registry STATIC transfer/auth_challenge.cc transfer/blob_download.cc
            transfer/http_client.cc transfer/registry_session.cc)
target_link_libraries(skiff_transfer_registry PUBLIC skiff_transfer_protocol curl)
add_executable(skiff-transfer transfer/main.cc transfer/confine.cc)
target_link_libraries(skiff-transfer PRIVATE skiff_transfer_unpack skiff_transfer_registry
                      /usr/lib/x86_64-linux-gnu/libseccomp.a)
add_library(skiff_transfer_client STATIC transfer/client.cc transfer/process.cc
            transfer/registry_client.cc)
target_link_libraries(skiff_transfer_client PUBLIC skiff_transfer_protocol)

# References and configurations of images, for whoever reads or writes them.
add_library(skiff_image_formats STATIC image/references.cc image/image_config.cc image/manifest.cc)
target_link_libraries(skiff_image_formats PUBLIC skiff_base)
# A tree as a tar stream: no archive library.
add_library(skiff_image_tar STATIC image/pack_tree.cc image/tar_stream.cc)
target_link_libraries(skiff_image_tar PUBLIC skiff_base)
add_library(skiff_image STATIC image/image_store.cc image/layer_draft.cc image/layer_store.cc
            image/archive_load.cc image/archive_save.cc image/compress.cc image/download.cc image/elsewhere.cc image/layer_jobs.cc image/merged_root.cc
            image/layer_pipe.cc image/pull.cc image/push.cc image/registry_work.cc
            image/work_folder.cc)
target_link_libraries(skiff_image PUBLIC skiff_image_formats skiff_image_tar skiff_store skiff_transfer_client
                      PRIVATE /usr/lib/x86_64-linux-gnu/libdeflate.a /usr/lib/x86_64-linux-gnu/libzstd.a)

add_library(skiff_engine_core STATIC
            embedded/bus_message.cc embedded/container_files.cc embedded/create.cc embedded/deferred_session.cc
            embedded/delegated_unit.cc embedded/embedded_engine.cc
            embedded/etc_files.cc embedded/events.cc embedded/image_exchange.cc embedded/images.cc embedded/intents.cc embedded/lifecycle.cc embedded/merge.cc
            embedded/names.cc embedded/network_side.cc embedded/networks.cc embedded/objects.cc
            embedded/observe.cc embedded/project_lock.cc embedded/reconcile.cc embedded/spec.cc
            embedded/start.cc embedded/system_check.cc embedded/usage.cc embedded/watch.cc)
target_link_libraries(skiff_engine_core PUBLIC skiff_image skiff_store skiff_volumes skiff_launch
                      skiff_monitor_client skiff_netmgr skiff_netmgr_dns skiff_engine_spec)

skiff_unity(skiff_store skiff_transfer_protocol skiff_transfer_unpack skiff_transfer_client skiff_image skiff_image_formats
            skiff_engine_core)
