"""Programs to read, run and compile; `xmlc demo` runs one of them."""
