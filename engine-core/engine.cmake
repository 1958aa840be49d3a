# The side of the module that a command links: store, images, layers, the embedded engine.
add_library(skiff_fake_engine STATIC fake_engine.cc)
target_link_libraries(skiff_fake_engine PUBLIC skiff_base)

add_library(skiff_store STATIC layout.cc store/database.cc store/records.cc store/store.cc)
target_link_libraries(skiff_store PUBLIC skiff_base /usr/lib/x86_64-linux-gnu/libsqlite3.a
                      PRIVATE ${CMAKE_DL_LIBS})
