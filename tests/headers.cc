// Compiles the headers of skiff_test_headers (cmake/skiff.cmake).
