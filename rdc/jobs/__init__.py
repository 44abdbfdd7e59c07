"""What a sweep and the library share: jobs, records, folders, the worker process."""
