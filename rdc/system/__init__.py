"""What the library needs of the machine: files, hardware, memory, caches."""
