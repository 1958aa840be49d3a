# The side of the module that a command links: store, images, layers, the embedded engine.
add_library(skiff_fake_engine STATIC fake_engine.cc)
target_link_libraries(skiff_fake_engine PUBLIC skiff_base)
