skiff_test(store_test LABEL unit SOURCES database_test.cc records_test.cc store_test.cc
           LINK skiff_store)
skiff_test(image_test LABEL unit SOURCES image_config_test.cc manifest_test.cc references_test.cc work_folder_test.cc
           LINK skiff_image)
skiff_test(unpack_test LABEL unit SOURCES pack_tree_test.cc unpack_test.cc tree_writer_test.cc
           LINK skiff_transfer_unpack skiff_image_tar z)
skiff_test(embedded_test LABEL unit SOURCES bus_message_test.cc etc_files_test.cc intents_test.cc merge_test.cc
           names_test.cc project_lock_test.cc spec_test.cc
           LINK skiff_engine_core)
skiff_test(fake_engine_test LABEL unit SOURCES fake_engine_test.cc LINK skiff_fake_engine)
